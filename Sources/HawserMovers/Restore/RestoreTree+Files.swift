import CHawser
import Glibc
public import HawserFormat

extension RestoreTree {
    /// What to do with a file whose content is written piece by piece.
    public enum FileDecision: Sendable {
        /// Write the content, then call `finish`.
        case write(RestoreFile)
        /// Nothing is left to do: kept, updated, or a dry run.
        case settled(RestoreAction)
    }

    /// Begins a file whose content comes in pieces. Costs more than `writeFile` does for small files.
    /// - Parameter preallocate: reserves the room at once, for content without holes. `nil`: if the entry's own
    ///   extents say that it has none.
    public func makeFile(_ entry: Entry, preallocate: Bool? = nil) throws -> FileDecision {
        try checkFile(entry)
        if options.dryRun { return try .settled(plan(entry)) }
        let parent = try existingParent(of: entry.path)
        let action = try entry.path.withName { name in try settle(entry, in: parent, name) }
        guard action == .created || action == .replaced else { return .settled(action) }
        let file = try RestoreFile(self, entry, action, in: parent)
        try file.reserve(preallocate ?? (!options.sparse && Self.isDense(entry)))
        return .write(file)
    }

    /// Restores a whole file whose content fits into memory: six system calls for a new one.
    /// - Parameter bytes: the content; zeros are written as they are.
    public func writeFile(_ entry: Entry, _ bytes: UnsafeRawBufferPointer) throws -> RestoreAction {
        try checkFile(entry)
        guard UInt64(bytes.count) == entry.size else {
            throw HawserError(
                .damaged,
                "The content has \(bytes.count) bytes and not the \(entry.size) of its entry.",
                place: entry.path.description
            )
        }
        if options.dryRun { return try plan(entry) }
        let parent = try existingParent(of: entry.path)
        return try entry.path.withName { name in
            if try fill(entry, bytes, in: parent, name, isFinalName: true) { return .created }
            let action = try settle(entry, in: parent, name)
            guard action == .created || action == .replaced else { return action }
            try Self.temporaryName().withCString { temporary in
                guard try fill(entry, bytes, in: parent, temporary, isFinalName: false) else {
                    throw HawserError.restore("create the file", entry.path, errno: EEXIST)
                }
                try replace(name, with: temporary, in: parent, entry.path)
            }
            return action
        }
    }

    private func checkFile(_ entry: Entry) throws {
        guard entry.kind == .file, entry.size <= UInt64(Int64.max) else {
            throw HawserError(.invalidArgument, "The entry is not a regular file.", place: entry.path.description)
        }
    }

    private static func isDense(_ entry: Entry) -> Bool {
        guard case .extents(let extents)? = entry.content else { return false }
        var sum: UInt64 = 0
        for extent in extents {
            if case .hole = extent { return false }
            guard extent.length >= 0 else { return false }
            sum = sum.addingReportingOverflow(UInt64(extent.length)).partialValue
        }
        // A false size must not fill the disk.
        return sum == entry.size
    }

    /// Decides by what is there, sets the metadata of a file that keeps its content, and clears a directory away.
    private func settle(
        _ entry: Entry,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>
    ) throws -> RestoreAction {
        guard let status = RestoreStatus(in: parent.descriptor, name) else { return .created }
        let action = try decide(entry, status, in: parent, name)
        switch action {
        case .updated: return try refresh(entry, in: parent, name)
        case .replaced: try clearPlace(status, in: parent, name, entry.path)
        case .created, .kept, .deleted: break
        }
        return action
    }

    /// Sets the metadata of an existing file whose content is right. `replaced`: it must be written anew, because it
    /// has other names, perhaps outside the target, or can't be opened.
    private func refresh(
        _ entry: Entry,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>
    ) throws -> RestoreAction {
        let descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return .replaced }
        defer { close(descriptor) }
        guard let status = RestoreStatus(descriptor: descriptor), status.kind == .file else { return .replaced }
        let subject = Subject(
            path: entry.path,
            kind: .file,
            descriptor: descriptor,
            name: nil,
            status: status,
            isNew: false,
            inheritsACL: false
        )
        let metadata = RestoreMetadata(entry, accounts)
        if differences(metadata, subject).isEmpty { return .kept }
        guard status.links == 1 else { return .replaced }
        setMetadata(metadata, of: subject)
        try setLateFlags(entry, metadata, subject)
        return .updated
    }

    /// - Returns: `false` if the name is taken.
    private func fill(
        _ entry: Entry,
        _ bytes: UnsafeRawBufferPointer,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>,
        isFinalName: Bool
    ) throws -> Bool {
        let mode = isFinalName ? Self.unfinishedMode : 0o600
        let descriptor = hawser_restore_open(parent.descriptor, name, O_WRONLY | O_CREAT | O_EXCL, mode_t(mode))
        guard descriptor >= 0 else {
            if errno == EEXIST { return false }
            throw HawserError.restore("create the file", entry.path, errno: errno)
        }
        do {
            guard let status = RestoreStatus(descriptor: descriptor) else {
                throw HawserError.restore("create the file", entry.path, errno: errno)
            }
            try Self.write(bytes, to: descriptor, at: 0, entry.path)
            let subject = Subject(
                path: entry.path,
                kind: .file,
                descriptor: descriptor,
                name: nil,
                status: status,
                isNew: true,
                inheritsACL: parent.inheritsACL
            )
            let metadata = RestoreMetadata(entry, accounts)
            setMetadata(metadata, of: subject)
            // An immutable file can't be renamed any more: at the end then.
            if isFinalName || metadata.inodeFlags == nil {
                try setLateFlags(entry, metadata, subject)
            } else {
                try postponeFlags(metadata, subject)
            }
        } catch {
            unlinkat(parent.descriptor, name, 0)
            close(descriptor)
            throw error
        }
        if close(descriptor) != 0 {
            let error = HawserError.restore("write the file", entry.path, errno: errno)
            unlinkat(parent.descriptor, name, 0)
            throw error
        }
        return true
    }

    /// Flags that lock a file with further hard links wait until those are made.
    func setLateFlags(_ entry: Entry, _ metadata: RestoreMetadata, _ subject: Subject) throws {
        guard let flags = metadata.inodeFlags else { return }
        if entry.linkGroup != nil, flags & RestoreMetadata.lockingFlags != 0 {
            try postponeFlags(metadata, subject)
        } else {
            setFlags(flags, mask: RestoreMetadata.lateFlags, of: subject)
        }
    }

    /// Renames a complete file over what has its name.
    func replace(
        _ name: UnsafePointer<CChar>,
        with temporary: UnsafePointer<CChar>,
        in parent: RestoreDirectory,
        _ path: EntryPath
    ) throws {
        if renameat(parent.descriptor, temporary, parent.descriptor, name) == 0 { return }
        let code = errno
        unlinkat(parent.descriptor, temporary, 0)
        throw replacementFailure("replace what is there", errno: code, in: parent.descriptor, name, path)
    }

    static func write(
        _ bytes: UnsafeRawBufferPointer,
        to descriptor: Int32,
        at offset: Int64,
        _ path: EntryPath
    ) throws {
        var written = 0
        while written < bytes.count {
            let count = retrying {
                pwrite(
                    descriptor,
                    bytes.baseAddress.unsafelyUnwrapped + written,
                    bytes.count - written,
                    off_t(offset) + written
                )
            }
            guard count > 0 else { throw HawserError.restore("write the file", path, errno: count == 0 ? EIO : errno) }
            written += count
        }
    }
}
