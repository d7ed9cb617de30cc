import Glibc
public import HawserFormat

/// Finds the names of files that have several, for the one task that goes through the entries.
///
/// The first restored name of a link group gets the content, every other one becomes a hard link when all content is
/// written. Every name of a snapshot carries the whole content, so any of them can be the first.
///
/// Memory: 16 bytes a group in a table, the paths in a list that goes on in a file without a name in the target.
public struct RestoreLinks: ~Copyable {
    private let tree: RestoreTree
    private var groups: [UInt64: Int] = [:]
    private var paths: RestoreSpool
    private var waiting: RestoreSpool

    public init(_ tree: RestoreTree) {
        self.tree = tree
        let directory = tree.root?.descriptor ?? -1
        paths = RestoreSpool(directory: directory)
        waiting = RestoreSpool(directory: directory)
    }

    public enum Role: Sendable, Equatable {
        /// Restore it as any other entry.
        case content
        /// Don't restore it: `forEachWaiting` will give it.
        case link
    }

    /// Says what a name of a link group is, and remembers it.
    /// - Parameter action: what `RestoreTree.plan` says of the entry.
    public mutating func role(of entry: Entry, _ action: RestoreAction) throws -> Role {
        guard let group = entry.linkGroup, entry.kind != .directory, action != .kept else { return .content }
        if let position = groups[group] {
            var record: [UInt8] = []
            record.append(integer: UInt64(position))
            try waiting.append(record + entry.path.bytes)
            return .link
        }
        // A dry run has no place for a long list, and links nothing.
        groups[group] = tree.options.dryRun ? 0 : try paths.append(entry.path.bytes)
        return .content
    }

    /// Every name that is to become a link, with the first name of its group, in the order they came.
    public borrowing func forEachWaiting(_ body: (_ path: EntryPath, _ first: EntryPath) throws -> Void) throws {
        if tree.options.dryRun { return }
        var position = 0
        while let record = try waiting.next(&position) {
            var reader = ByteReader(record)
            let first: UInt64 = try reader.read()
            guard let path = EntryPath(reader.readRest()),
                let first = try EntryPath(paths.record(at: Int(clamping: first)))
            else { throw HawserError(.internalError, "The list of hard links can't be read back.") }
            try body(path, first)
        }
    }
}

extension RestoreTree {
    public enum LinkResult: Sendable {
        case linked
        /// It was the same file already.
        case kept
        /// The file system can't link the two (other file system, too many links, no links at all), or the first
        /// name was not restored: restore this entry with its content, as if it had no link group.
        case needsContent
    }

    /// Makes `path` a further name of the finished file `first`; replaces what is there, the policy having been asked
    /// by `RestoreLinks`.
    public func makeHardLink(_ path: EntryPath, to first: EntryPath) throws -> LinkResult {
        if options.dryRun { return .linked }
        guard let source = try parent(of: first, create: false) else { return .needsContent }
        let parent = try existingParent(of: path)
        return try first.withName { firstName in
            try path.withName { name in
                guard let wanted = RestoreStatus(in: source.descriptor, firstName), wanted.kind != .directory else {
                    return .needsContent
                }
                func link(_ name: UnsafePointer<CChar>) -> Int32 {
                    linkat(source.descriptor, firstName, parent.descriptor, name, 0)
                }
                func isRight(_ name: UnsafePointer<CChar>) -> Bool {
                    RestoreStatus(in: parent.descriptor, name)?.identity == wanted.identity
                }
                if link(name) == 0 {
                    if isRight(name) { return .linked }
                    unlinkat(parent.descriptor, name, 0)
                    return .needsContent
                }
                guard errno == EEXIST, let status = RestoreStatus(in: parent.descriptor, name) else {
                    return try result(errno, path)
                }
                if status.identity == wanted.identity { return .kept }
                try clearPlace(status, in: parent, name, path)
                return try Self.temporaryName().withCString { temporary in
                    guard link(temporary) == 0 else { return try result(errno, path) }
                    guard isRight(temporary) else {
                        unlinkat(parent.descriptor, temporary, 0)
                        return .needsContent
                    }
                    try replace(name, with: temporary, in: parent, path)
                    return .linked
                }
            }
        }
    }

    private func result(_ code: Int32, _ path: EntryPath) throws -> LinkResult {
        switch code {
        case EXDEV, EMLINK, EPERM, EOPNOTSUPP, ENOSYS, ENOENT: return .needsContent
        default: throw HawserError.restore("create the hard link", path, errno: code)
        }
    }
}
