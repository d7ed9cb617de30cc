public import HawserFormat

/// The changes between two trees in order of their paths; pages that both have are never read.
public struct SnapshotDiff: AsyncSequence, Sendable {
    public typealias Element = TreeDiff.Change

    let repository: Repository
    let diff: TreeDiff

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(diff: diff, old: BlobReader(repository), new: BlobReader(repository))
    }

    public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
        var diff: TreeDiff
        let old: BlobReader
        let new: BlobReader

        /// - Throws: `damaged` or `notFound` for a page that can't be read; the next call goes on behind it, and what
        ///   the other tree has there counts as added or removed.
        public mutating func next() async throws -> TreeDiff.Change? {
            while true {
                switch diff.next() {
                case .change(let change):
                    return change
                case .end:
                    return nil
                case .needsPage(let side, let page):
                    do {
                        let reader = side == .old ? old : new
                        let bytes = try await reader.read(page.id, type: .treePage)
                        try diff.supply(TreePage(decoding: bytes, level: page.level), to: side)
                    } catch let error as HawserError {
                        diff.skipPage(of: side)
                        throw error
                    }
                }
            }
        }
    }
}

extension Repository {
    /// What is in the tree `new` that was not in `old`, what is gone, and what differs.
    public func diff(_ old: TreeRoot, _ new: TreeRoot, in scope: PathScope = .all) -> SnapshotDiff {
        SnapshotDiff(repository: self, diff: TreeDiff(old: old, new: new, scope: scope))
    }

    /// The one entry at `path`, read through as many pages as the tree has levels.
    ///
    /// - Returns: `nil` when the tree does not have it.
    public func entry(at path: EntryPath, of root: TreeRoot) async throws -> Entry? {
        var entries = entries(of: root, in: PathScope([.only(path)])).makeAsyncIterator()
        while let entry = try await entries.next() {
            if entry.path == path { return entry }
        }
        return nil
    }

    /// What lies in a directory itself, without what is below it.
    public func children(of directory: EntryPath, of root: TreeRoot) -> TreeEntries {
        entries(of: root, in: PathScope([.children(of: directory)]))
    }
}
