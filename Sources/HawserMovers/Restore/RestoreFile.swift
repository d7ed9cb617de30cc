import CHawser
import Glibc
public import HawserFormat
import Synchronization

/// A regular file that is being restored; its pieces may be written in any order by several threads.
///
/// It has no name in the target, or a temporary one where the file system can't do without, until `finish`. When it
/// is let go before that, it disappears.
public final class RestoreFile: Sendable {
    public let entry: Entry
    /// `created` or `replaced`.
    public let action: RestoreAction

    private let tree: RestoreTree
    private let parent: RestoreDirectory
    private let descriptor: Int32
    private let temporaryName: String?
    private let isClosed = Atomic(false)

    init(_ tree: RestoreTree, _ entry: Entry, _ action: RestoreAction, in parent: RestoreDirectory) throws {
        self.tree = tree
        self.entry = entry
        self.action = action
        self.parent = parent
        let unnamed = Self.canLinkDescriptors ? hawser_restore_open_unnamed(parent.descriptor, O_WRONLY, 0o600) : -1
        if unnamed >= 0 {
            descriptor = unnamed
            temporaryName = nil
        } else {
            let name = RestoreTree.temporaryName()
            descriptor = hawser_restore_open(parent.descriptor, name, O_WRONLY | O_CREAT | O_EXCL, 0o600)
            temporaryName = name
            guard descriptor >= 0 else {
                isClosed.store(true, ordering: .relaxed)
                throw HawserError.restore("create the file", entry.path, errno: errno)
            }
        }
    }

    deinit {
        if !isClosed.load(ordering: .acquiring) { discard() }
    }

    // A file without a name gets one through /proc, which a bare container may not have.
    private static let canLinkDescriptors = access("/proc/self/fd", X_OK) == 0

    /// Sets the size, so that everything is a hole, and the flags that only empty files take.
    func reserve(_ preallocate: Bool) throws {
        if let subject = subject() {
            tree.setFlags(entry.inodeFlags, mask: RestoreMetadata.earlyFlags, of: subject)
        }
        let size = Int64(clamping: entry.size)
        if ftruncate(descriptor, off_t(size)) != 0 {
            throw HawserError.restore("set the size of the file", entry.path, errno: errno)
        }
        guard preallocate, size > 0 else { return }
        try allocate(0, size)
    }

    /// Writes a piece of the content.
    /// - Parameter offset: bytes from the beginning; the piece must end within the entry's size.
    /// - Throws: `damaged` if it doesn't, `storageFull`, `fileSystem`.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        let start = try position(offset, count: UInt64(bytes.count))
        try RestoreTree.write(bytes, to: descriptor, at: start, entry.path)
    }

    /// A `zero` extent. Written, as in the source: room that is only allocated shows as a hole. With `sparse` it stays a
    /// hole.
    public func writeZeros(at offset: UInt64, count: UInt64) throws {
        _ = try position(offset, count: count)
        if tree.options.sparse { return }
        var written: UInt64 = 0
        while written < count {
            let step = Int(min(count - written, UInt64(Self.zeros.count)))
            try Self.zeros[..<step].withUnsafeBytes { try write($0, at: offset + written) }
            written += UInt64(step)
        }
    }

    private static let zeros = [UInt8](repeating: 0, count: 1 << 20)

    /// Sets the metadata and gives the file its name, in one step where something is replaced. Once, after the last
    /// piece.
    /// - Throws: `conflict` if something has taken the name meanwhile; the restored file is removed then.
    public func finish() throws {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else {
            throw HawserError(.internalError, "The file was finished already.", place: entry.path.description)
        }
        do {
            guard let subject = subject() else {
                throw HawserError.restore("look at the file", entry.path, errno: errno)
            }
            let metadata = RestoreMetadata(entry, tree.accounts)
            tree.setMetadata(metadata, of: subject)
            try publish()
            try tree.setLateFlags(entry, metadata, subject)
        } catch {
            discard()
            throw error
        }
        if close(descriptor) != 0 { throw HawserError.restore("write the file", entry.path, errno: errno) }
    }

    private func publish() throws {
        try entry.path.withName { name in
            if action == .replaced {
                let temporary = temporaryName ?? RestoreTree.temporaryName()
                if temporaryName == nil, hawser_restore_link_descriptor(descriptor, parent.descriptor, temporary) != 0 {
                    throw HawserError.restore("name the file", entry.path, errno: errno)
                }
                return try tree.replace(name, with: temporary, in: parent, entry.path)
            }
            let result =
                if let temporaryName {
                    renameNew(temporaryName, to: name)
                } else {
                    hawser_restore_link_descriptor(descriptor, parent.descriptor, name)
                }
            if result == 0 { return }
            if errno == EEXIST {
                throw HawserError.restoreConflict("Another program took this name during the restore.", entry.path)
            }
            throw HawserError.restore("name the file", entry.path, errno: errno)
        }
    }

    private func renameNew(_ temporary: String, to name: UnsafePointer<CChar>) -> Int32 {
        let result = hawser_restore_rename_new(parent.descriptor, temporary, name)
        // Some network file systems have only the plain rename.
        guard result != 0, errno == EINVAL || errno == ENOSYS else { return result }
        return renameat(parent.descriptor, temporary, parent.descriptor, name)
    }

    private func discard() {
        if let temporaryName { unlinkat(parent.descriptor, temporaryName, 0) }
        close(descriptor)
    }

    private func subject() -> RestoreTree.Subject? {
        guard let status = RestoreStatus(descriptor: descriptor) else { return nil }
        return RestoreTree.Subject(
            path: entry.path,
            kind: .file,
            descriptor: descriptor,
            name: nil,
            status: status,
            isNew: true,
            inheritsACL: parent.inheritsACL
        )
    }

    private func allocate(_ offset: Int64, _ count: Int64) throws {
        if retrying({ hawser_restore_allocate(descriptor, offset, count) }) == 0 { return }
        // Where it can't be done, zeros are holes and room is found while writing: the content is the same.
        if errno == ENOSPC || errno == EDQUOT || errno == EFBIG {
            throw HawserError.restore("reserve the room for the file", entry.path, errno: errno)
        }
    }

    private func position(_ offset: UInt64, count: UInt64) throws -> Int64 {
        let (end, overflows) = offset.addingReportingOverflow(count)
        guard !overflows, end <= entry.size, let start = Int64(exactly: offset) else {
            throw HawserError(.damaged, "The content is longer than its entry says.", place: entry.path.description)
        }
        return start
    }
}
