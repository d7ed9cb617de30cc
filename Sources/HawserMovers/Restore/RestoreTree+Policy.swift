import CHawser
import Glibc
public import HawserFormat

extension RestoreTree {
    /// A file that a restore was still writing when it ended: readable by its owner only, with a sticky bit, which
    /// means nothing on files. See `RestoreTree`.
    static let unfinishedMode: UInt16 = 0o1600

    /// What the policy says about an entry. Changes nothing; the same question is asked again when it is written.
    /// - Throws: `conflict` if its place can't be taken, errors of reading the target.
    public func plan(_ entry: Entry) throws -> RestoreAction {
        if entry.path.isRoot { return targetIsNew ? .created : options.overwrite == .never ? .kept : .updated }
        guard let parent = try parent(of: entry.path, create: false) else { return .created }
        return try entry.path.withName { name in
            guard let status = RestoreStatus(in: parent.descriptor, name) else {
                if errno == ENOENT { return .created }
                throw HawserError.restore("look at what is there", entry.path, errno: errno)
            }
            return try decide(entry, status, in: parent, name)
        }
    }

    func decide(
        _ entry: Entry,
        _ status: RestoreStatus,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>
    ) throws -> RestoreAction {
        if entry.kind == .directory { return try decideDirectory(entry, status) }
        if isUnfinished(status) { return .replaced }
        switch options.overwrite {
        case .never: return .kept
        case .ifNewer where status.modified >= entry.modified: return .kept
        case .ifChanged where isSame(entry, status, in: parent, name): return .updated
        case .always, .ifNewer, .ifChanged: break
        }
        if status.kind == .directory, !options.deletes, !isEmptyDirectory(name, in: parent) {
            throw HawserError.restoreConflict(
                "A directory that is not empty stands here. Move it away, or allow deletion (--delete).",
                entry.path
            )
        }
        return .replaced
    }

    private func decideDirectory(_ entry: Entry, _ status: RestoreStatus) throws -> RestoreAction {
        if status.kind == .directory { return options.overwrite == .never ? .kept : .updated }
        if isUnfinished(status) { return .replaced }
        let keeps =
            options.overwrite == .never || (options.overwrite == .ifNewer && status.modified >= entry.modified)
        guard keeps else { return .replaced }
        throw HawserError.restoreConflict(
            "Something that must not be overwritten stands where a directory must be (--overwrite).",
            entry.path
        )
    }

    func isUnfinished(_ status: RestoreStatus) -> Bool {
        status.kind == .file && status.mode == Self.unfinishedMode && status.userID == accounts.userID
    }

    /// Whether the content is taken for the entry's, as `--overwrite if-changed` does.
    private func isSame(
        _ entry: Entry,
        _ status: RestoreStatus,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>
    ) -> Bool {
        guard status.kind == entry.kind else { return false }
        return switch entry.kind {
        case .file: status.size == entry.size && status.modified == entry.modified
        case .symlink: readLink(name, in: parent.descriptor) == entry.linkTarget
        case .characterDevice, .blockDevice: entry.device.map { Self.number($0) == status.rawDevice } ?? false
        case .directory, .fifo, .socket: true
        }
    }

    static func number(_ device: Entry.Device) -> dev_t {
        hawser_restore_device(device.major, device.minor)
    }

    func readLink(_ name: UnsafePointer<CChar>, in directory: Int32) -> [UInt8]? {
        // One more than the longest target that Linux allows, PATH_MAX - 1.
        let capacity = 4096
        var count = 0
        let target = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
            count = buffer.withMemoryRebound(to: CChar.self) {
                readlinkat(directory, name, $0.baseAddress.unsafelyUnwrapped, capacity)
            }
            initialized = max(count, 0)
        }
        return count < 0 ? nil : target
    }
}

extension RestoreTree {
    /// Prepares the place of what will be renamed over it: no directory may be there, and the directory around it must
    /// allow removal (in an append-only one, the temporary name would stay for ever).
    func clearPlace(
        _ status: RestoreStatus,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>,
        _ path: EntryPath
    ) throws {
        var flags: UInt32 = 0
        if hawser_restore_get_flags(parent.descriptor, &flags) == 0, flags & RestoreMetadata.lockingFlags != 0 {
            throw replacementFailure("replace what is there", errno: EPERM, in: parent.descriptor, name, path)
        }
        guard status.kind == .directory else { return }
        cache.removeAll()
        if unlinkat(parent.descriptor, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
        guard options.deletes else {
            throw HawserError.restoreConflict(
                "A directory stands here that can't be removed: \(String(cString: strerror(errno))). Move it away.",
                path
            )
        }
        try removeTree(name, in: parent.descriptor, path)
    }

    /// The error of a failed rename or removal; says so if the existing file is locked by its flags.
    func replacementFailure(
        _ what: String,
        errno code: Int32,
        in directory: Int32,
        _ name: UnsafePointer<CChar>,
        _ path: EntryPath
    ) -> HawserError {
        guard code == EPERM, isLocked(name, in: directory) || isLocked(".", in: directory) else {
            return .restore(what, path, errno: code)
        }
        return HawserError(
            .accessDenied,
            "Can't \(what): what is there, or its directory, is immutable or append-only. "
                + "Run `chattr -i -a` on it, then restore again.",
            place: path.description
        )
    }

    private func isLocked(_ name: UnsafePointer<CChar>, in directory: Int32) -> Bool {
        // Others can't have the flags, and opening a device can have effects.
        guard let kind = RestoreStatus(in: directory, name)?.kind, kind == .file || kind == .directory else {
            return false
        }
        let descriptor = hawser_restore_open(directory, name, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var flags: UInt32 = 0
        return hawser_restore_get_flags(descriptor, &flags) == 0 && flags & RestoreMetadata.lockingFlags != 0
    }
}
