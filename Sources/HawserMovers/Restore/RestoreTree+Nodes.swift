import CHawser
import Glibc
public import HawserFormat

extension RestoreTree {
    /// A symbolic link; its target may be anything, since nothing of the restore follows it.
    public func makeSymlink(_ entry: Entry) throws -> RestoreAction {
        guard entry.kind == .symlink, let target = entry.linkTarget, !target.isEmpty, !target.contains(0) else {
            throw HawserError(.damaged, "The symbolic link has no target.", place: entry.path.description)
        }
        return try target[...].withCString { target in
            try makeNode(entry, "create the symbolic link") { symlinkat(target, $0, $1) }
        }
    }

    /// A FIFO, socket or device. Devices need privileges (CAP_MKNOD): `accessDenied`.
    public func makeSpecial(_ entry: Entry) throws -> RestoreAction {
        let type: mode_t =
            switch entry.kind {
            case .fifo: S_IFIFO
            case .socket: S_IFSOCK
            case .characterDevice: S_IFCHR
            case .blockDevice: S_IFBLK
            case .file, .directory, .symlink: 0
            }
        let isDevice = type == S_IFCHR || type == S_IFBLK
        guard type != 0, !isDevice || entry.device != nil else {
            throw HawserError(.damaged, "The entry is not a FIFO, socket or device.", place: entry.path.description)
        }
        let number = isDevice ? entry.device.map(Self.number) ?? 0 : 0
        return try makeNode(entry, "create the special file") { mknodat($0, $1, type | 0o600, number) }
    }

    private func makeNode(
        _ entry: Entry,
        _ what: String,
        create: (Int32, UnsafePointer<CChar>) -> Int32
    ) throws -> RestoreAction {
        if options.dryRun { return try plan(entry) }
        let parent = try existingParent(of: entry.path)
        return try entry.path.withName { name in
            if create(parent.descriptor, name) == 0 {
                setNodeMetadata(entry, in: parent, name, isNew: true)
                return .created
            }
            guard errno == EEXIST, let status = RestoreStatus(in: parent.descriptor, name) else {
                throw HawserError.restore(what, entry.path, errno: errno)
            }
            var action = try decide(entry, status, in: parent, name)
            // Another name of it may lie outside the target.
            if action == .updated, status.links > 1 { action = .replaced }
            switch action {
            case .updated:
                setNodeMetadata(entry, in: parent, name, isNew: false)
            case .replaced:
                try clearPlace(status, in: parent, name, entry.path)
                try Self.temporaryName().withCString { temporary in
                    guard create(parent.descriptor, temporary) == 0 else {
                        throw HawserError.restore(what, entry.path, errno: errno)
                    }
                    setNodeMetadata(entry, in: parent, temporary, isNew: true)
                    try replace(name, with: temporary, in: parent, entry.path)
                }
            case .created, .kept, .deleted: break
            }
            return action
        }
    }

    private func setNodeMetadata(
        _ entry: Entry,
        in parent: RestoreDirectory,
        _ name: UnsafePointer<CChar>,
        isNew: Bool
    ) {
        guard let status = RestoreStatus(in: parent.descriptor, name), status.kind == entry.kind else {
            problems.report(
                entry.path,
                .restoreConflict("Another program exchanged this entry during the restore.", entry.path)
            )
            return
        }
        let subject = Subject(
            path: entry.path,
            kind: entry.kind,
            descriptor: parent.descriptor,
            name: name,
            status: status,
            isNew: isNew,
            inheritsACL: parent.inheritsACL && entry.kind != .symlink
        )
        setMetadata(RestoreMetadata(entry, accounts), of: subject)
    }
}
