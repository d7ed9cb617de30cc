import CHawser
import Glibc
public import HawserFormat
import Synchronization

extension RestoreTree {
    /// Compares what is in the target with an entry: kind, size, owner, mode, time, attributes, flags, link target,
    /// device; not the content, see `openFile`. Owners are those that the options ask for; what this process had no
    /// privileges to set is left out.
    /// - Returns: one short sentence a difference, for people; none when all is equal.
    public func differences(from entry: Entry) throws -> [String] {
        if entry.path.isRoot {
            guard let root, let status = RestoreStatus(descriptor: root.descriptor) else { return ["It is missing."] }
            return differences(entry, subject(entry, root.descriptor, nil, status))
        }
        guard let parent = try parent(of: entry.path, create: false) else { return ["It is missing."] }
        return try entry.path.withName { name in
            guard let status = RestoreStatus(in: parent.descriptor, name) else {
                if errno == ENOENT { return ["It is missing."] }
                throw HawserError.restore("look at the restored entry", entry.path, errno: errno)
            }
            guard status.kind == entry.kind else { return ["Its kind differs."] }
            var differences: [String] = []
            if entry.kind == .symlink, readLink(name, in: parent.descriptor) != entry.linkTarget {
                differences.append("Its target differs.")
            }
            guard entry.kind == .file || entry.kind == .directory else {
                return differences + self.differences(entry, subject(entry, parent.descriptor, name, status))
            }
            let descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_NONBLOCK, 0)
            guard descriptor >= 0, let opened = RestoreStatus(descriptor: descriptor), opened.kind == entry.kind else {
                if descriptor >= 0 { close(descriptor) }
                throw HawserError.restore("open the restored entry", entry.path, errno: errno)
            }
            defer { close(descriptor) }
            return differences + self.differences(entry, subject(entry, descriptor, nil, opened))
        }
    }

    /// Opens a restored file to read it back. Refuses what is no regular file.
    public func openFile(_ path: EntryPath) throws -> RestoredFile {
        guard let parent = try parent(of: path, create: false) else {
            throw HawserError(.notFound, "The file is not there.", place: path.description)
        }
        let descriptor = path.withName { hawser_restore_open(parent.descriptor, $0, O_RDONLY | O_NONBLOCK, 0) }
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? HawserError(.notFound, "The file is not there.", place: path.description)
                : HawserError.restore("open the restored file", path, errno: errno)
        }
        guard let status = RestoreStatus(descriptor: descriptor), status.kind == .file else {
            close(descriptor)
            throw HawserError.restoreConflict("This is not a regular file.", path)
        }
        return RestoredFile(path: path, size: status.size, descriptor: descriptor)
    }

    private func subject(
        _ entry: Entry,
        _ descriptor: Int32,
        _ name: UnsafePointer<CChar>?,
        _ status: RestoreStatus
    ) -> Subject {
        Subject(
            path: entry.path,
            kind: entry.kind,
            descriptor: descriptor,
            name: name,
            status: status,
            isNew: false,
            inheritsACL: false
        )
    }

    private func differences(_ entry: Entry, _ subject: Subject) -> [String] {
        var result: [String] = []
        if entry.kind == .file, subject.status.size != entry.size {
            result.append("Its size is \(subject.status.size) and not \(entry.size) bytes.")
        }
        if entry.kind == .characterDevice || entry.kind == .blockDevice,
            entry.device.map(Self.number) != subject.status.rawDevice
        {
            result.append("Its device number differs.")
        }
        let metadata = RestoreMetadata(entry, accounts)
        return result + differences(metadata.attainable(by: accounts, on: subject), subject)
    }

    func differences(_ metadata: RestoreMetadata, _ subject: Subject) -> [String] {
        var result: [String] = []
        let status = subject.status
        if let user = metadata.userID, user != status.userID {
            result.append("Its owner is \(status.userID) and not \(user).")
        }
        if let group = metadata.groupID, group != status.groupID {
            result.append("Its group is \(status.groupID) and not \(group).")
        }
        if subject.kind != .symlink, metadata.mode != status.mode {
            result.append(
                "Its mode is \(String(status.mode, radix: 8)) and not \(String(metadata.mode, radix: 8))."
            )
        }
        if metadata.modified != status.modified {
            let (now, wanted) = (status.modified, metadata.modified)
            result.append(
                "Its modification time is \(now.seconds) s \(now.nanoseconds) ns "
                    + "and not \(wanted.seconds) s \(wanted.nanoseconds) ns."
            )
        }
        for attribute in metadata.attributes where attributeValue(attribute.name, of: subject) != attribute.value {
            result.append("Its attribute \(String(decoding: attribute.name, as: UTF8.self)) differs.")
        }
        let wanted = Set(metadata.attributes.map(\.name))
        for name in attributeNames(subject) where RestoreMetadata.isOwned(name) && !wanted.contains(name) {
            result.append("It has the attribute \(String(decoding: name, as: UTF8.self)), which it should not have.")
        }
        if let flags = metadata.inodeFlags, subject.kind == .file || subject.kind == .directory {
            var current: UInt32 = 0
            _ = hawser_restore_get_flags(subject.descriptor, &current)
            let mask = RestoreMetadata.lateFlags | RestoreMetadata.earlyFlags
            if (flags ^ current) & mask != 0 { result.append("Its inode flags differ.") }
        }
        return result
    }
}

/// A file of the target that is read back, by any thread.
public final class RestoredFile: Sendable {
    /// When it was opened, bytes.
    public let size: UInt64
    private let path: EntryPath
    private let descriptor: Int32

    fileprivate init(path: EntryPath, size: UInt64, descriptor: Int32) {
        self.path = path
        self.size = size
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Fills the buffer unless the file ends before.
    /// - Returns: bytes read; less than the buffer's size only at the end of the file.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
        guard let start = Int64(exactly: offset) else { return 0 }
        var done = 0
        while done < buffer.count {
            let (position, overflows) = start.addingReportingOverflow(Int64(done))
            if overflows { break }
            let count = retrying {
                pread(descriptor, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done, off_t(position))
            }
            if count < 0 { throw HawserError.restore("read the restored file", path, errno: errno) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// The next stretch at or behind `offset` that is not a hole; `nil` if there is none.
    public func nextData(from offset: UInt64) throws -> Range<UInt64>? {
        guard let start = Int64(exactly: offset) else { return nil }
        let data = hawser_restore_seek_data(descriptor, start)
        if data < 0 {
            if errno == ENXIO { return nil }
            throw HawserError.restore("look for holes in the restored file", path, errno: errno)
        }
        let end = hawser_restore_seek_hole(descriptor, data)
        if end < data { throw HawserError.restore("look for holes in the restored file", path, errno: errno) }
        return UInt64(data)..<UInt64(end)
    }
}
