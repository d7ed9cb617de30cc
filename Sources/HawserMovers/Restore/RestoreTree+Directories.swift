import CHawser
import Glibc
public import HawserFormat
import Synchronization

extension RestoreTree {
    /// Creates a directory, or takes the one that is there. Its metadata waits for `finishDirectories`.
    ///
    /// For the root the target itself gets the entry's metadata: call it only when that is wanted.
    public func makeDirectory(_ entry: Entry) throws -> RestoreAction {
        guard entry.kind == .directory else {
            throw HawserError(.invalidArgument, "The entry is not a directory.", place: entry.path.description)
        }
        if options.dryRun { return try plan(entry) }
        if entry.path.isRoot {
            let action = try plan(entry)
            if action != .kept, let root { try note(entry, root) }
            return action
        }
        let parent = try existingParent(of: entry.path)
        var action = RestoreAction.created
        let handle = try entry.path.withName { name in
            // Most directories are new.
            if mkdirat(parent.descriptor, name, 0o700) == 0 {
                return try openForWriting(name, in: parent, keepsMode: true, entry.path)
            }
            guard errno == EEXIST, let status = RestoreStatus(in: parent.descriptor, name) else {
                throw HawserError.restore("create the directory", entry.path, errno: errno)
            }
            action = try decide(entry, status, in: parent, name)
            if action == .replaced, unlinkat(parent.descriptor, name, 0) != 0, errno != ENOENT {
                throw replacementFailure(
                    "replace what is there",
                    errno: errno,
                    in: parent.descriptor,
                    name,
                    entry.path
                )
            }
            if action == .replaced, mkdirat(parent.descriptor, name, 0o700) != 0 {
                throw HawserError.restore("create the directory", entry.path, errno: errno)
            }
            return try openForWriting(name, in: parent, keepsMode: action != .updated, entry.path)
        }
        cache.insert(handle, for: entry.path)
        if action != .kept { try note(entry, handle) }
        return action
    }

    /// Sets the metadata of all directories, the deepest first: their times would change with everything that is
    /// created in them, and a read-only one could not be filled.
    public func finishDirectories() throws {
        var position = journal.withLock { $0.end }
        while let bytes = try journal.withLock({ journal throws(any Error) in try journal.previous(&position) }) {
            let record = try JournalRecord(bytes)
            do {
                try finish(record)
            } catch let error as HawserError where error.code != .storageFull {
                problems.report(record.path, error)
            }
        }
    }

    private func openForWriting(
        _ name: UnsafePointer<CChar>,
        in parent: RestoreDirectory,
        keepsMode: Bool,
        _ path: EntryPath
    ) throws -> RestoreDirectory {
        var descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
        if descriptor < 0, errno == EACCES, !keepsMode, let status = RestoreStatus(in: parent.descriptor, name) {
            fchmodat(parent.descriptor, name, mode_t(status.mode | 0o700), AT_SYMLINK_NOFOLLOW)
            descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
        }
        guard descriptor >= 0 else { throw HawserError.restore("open the directory", path, errno: errno) }
        // A read-only directory of an earlier restore: its owner may open it, and `finishDirectories` sets its mode.
        if !keepsMode, !accounts.isPrivileged, let status = RestoreStatus(descriptor: descriptor),
            status.mode & 0o700 != 0o700
        {
            fchmod(descriptor, mode_t(status.mode | 0o700))
        }
        return RestoreDirectory(descriptor: descriptor)
    }

    private func note(_ entry: Entry, _ handle: RestoreDirectory) throws {
        guard let status = RestoreStatus(descriptor: handle.descriptor) else {
            throw HawserError.restore("look at the directory", entry.path, errno: errno)
        }
        let subject = subject(entry.path, .directory, handle.descriptor, status)
        setFlags(entry.inodeFlags, mask: RestoreMetadata.earlyFlags, of: subject)
        try append(JournalRecord(subject, RestoreMetadata(entry, accounts)))
    }

    /// Has the flags of a file set by `finishDirectories`.
    func postponeFlags(_ metadata: RestoreMetadata, _ subject: Subject) throws {
        try append(JournalRecord(subject, metadata))
    }

    private func append(_ record: JournalRecord) throws {
        let bytes = record.encoded
        _ = try journal.withLock { journal throws(any Error) in try journal.append(bytes) }
    }

    private func finish(_ record: JournalRecord) throws {
        if record.path.isRoot {
            if let root { finish(record, root.descriptor) }
            return
        }
        guard let parent = try parent(of: record.path, create: false) else {
            throw HawserError(.notFound, "It has vanished during the restore.", place: record.path.description)
        }
        let descriptor = record.path.withName { hawser_restore_open(parent.descriptor, $0, O_RDONLY | O_NONBLOCK, 0) }
        guard descriptor >= 0 else {
            throw HawserError.restore("open it to set its metadata", record.path, errno: errno)
        }
        defer { close(descriptor) }
        finish(record, descriptor)
    }

    private func finish(_ record: JournalRecord, _ descriptor: Int32) {
        guard let status = RestoreStatus(descriptor: descriptor), status.kind == record.kind,
            status.identity == record.identity
        else {
            problems.report(
                record.path,
                .restoreConflict("Another program exchanged this entry during the restore.", record.path)
            )
            return
        }
        let subject = subject(record.path, record.kind, descriptor, status)
        if record.kind == .directory { setMetadata(record.metadata, of: subject) }
        setFlags(record.metadata.inodeFlags, mask: RestoreMetadata.lateFlags, of: subject)
    }

    private func subject(
        _ path: EntryPath,
        _ kind: Entry.Kind,
        _ descriptor: Int32,
        _ status: RestoreStatus
    ) -> Subject {
        Subject(
            path: path,
            kind: kind,
            descriptor: descriptor,
            name: nil,
            status: status,
            isNew: false,
            inheritsACL: false
        )
    }
}

/// A directory whose metadata, or a file whose flags, are set at the end.
private struct JournalRecord {
    var path: EntryPath
    var kind: Entry.Kind
    var identity: FileIdentity
    var metadata: RestoreMetadata

    init(_ subject: RestoreTree.Subject, _ metadata: RestoreMetadata) {
        path = subject.path
        kind = subject.kind
        identity = subject.status.identity
        self.metadata = metadata
        // Of files only the flags are used.
        if kind == .file { self.metadata.attributes = [] }
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(kind.rawValue)
        bytes.append(integer: identity.device)
        bytes.append(integer: identity.inode)
        bytes.append(varint: UInt64(path.bytes.count))
        bytes += path.bytes
        metadata.encode(into: &bytes)
        return bytes
    }

    init(_ bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        guard let kind = try Entry.Kind(rawValue: reader.read()) else {
            throw HawserError(.internalError, "The restore's journal can't be read back.")
        }
        self.kind = kind
        identity = try FileIdentity(device: reader.read(), inode: reader.read())
        guard let path = try EntryPath(reader.readBytes(limit: .max)) else {
            throw HawserError(.internalError, "The restore's journal can't be read back.")
        }
        self.path = path
        metadata = try RestoreMetadata(&reader)
    }
}
