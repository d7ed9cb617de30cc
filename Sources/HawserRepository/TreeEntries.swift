public import HawserFormat

/// The entries of a snapshot in order, read page by page.
public struct TreeEntries: AsyncSequence, Sendable {
    public typealias Element = Entry

    let repository: Repository
    let root: TreeRoot
    let scope: PathScope

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(cursor: TreeCursor(root: root, scope: scope), reader: BlobReader(repository))
    }

    public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
        var cursor: TreeCursor
        let reader: BlobReader

        /// - Throws: `damaged` or `notFound` for a page that can't be read, with the path of its first entry as the
        ///   place; the next call goes on behind it.
        public mutating func next() async throws -> Entry? {
            while true {
                switch cursor.next() {
                case .entry(let entry):
                    return entry
                case .end:
                    return nil
                case .needsPage(let page):
                    do {
                        let bytes = try await reader.read(page.id, type: .treePage)
                        try cursor.supply(TreePage(decoding: bytes, level: page.level))
                    } catch let error as HawserError {
                        let end = cursor.upper.map { "to the one before \($0)" } ?? "to the end"
                        cursor.advance()
                        guard error.code == .damaged || error.code == .notFound else { throw error }
                        throw HawserError(
                            error.code,
                            "A page of the tree can't be read: the entries from here \(end) are missing.",
                            place: (page.first ?? .root).description,
                            cause: error,
                            isRetryable: error.isRetryable
                        )
                    }
                }
            }
        }
    }
}

extension Repository {
    /// - Parameter scope: what is wanted of the tree; pages outside of it are not read.
    public func entries(of root: TreeRoot, in scope: PathScope = .all) -> TreeEntries {
        TreeEntries(repository: self, root: root, scope: scope)
    }
}
