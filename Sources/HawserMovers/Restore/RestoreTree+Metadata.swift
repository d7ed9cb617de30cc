import CHawser
import Glibc
import HawserFormat

extension RestoreTree {
    /// What metadata is set on: an open file or directory, or a node that can't be opened, by its name.
    struct Subject {
        var path: EntryPath
        var kind: Entry.Kind
        /// Of the file itself, or of its directory when there is a name.
        var descriptor: Int32
        var name: UnsafePointer<CChar>?
        var status: RestoreStatus
        /// Was created by this call, so it has no attributes except inherited ones.
        var isNew: Bool
        var inheritsACL: Bool
    }

    /// Sets owner, attributes, mode and time, in this order; flags come later, see `setFlags`.
    ///
    /// A change of owner clears set-id bits and capabilities, so they follow it; the mode follows the ACL, whose mask
    /// it is; the time is last.
    func setMetadata(_ metadata: RestoreMetadata, of subject: Subject) {
        var mode = metadata.mode
        let ownerIsSet = setOwner(metadata, of: subject)
        if !ownerIsSet.user || !ownerIsSet.group {
            // Of another owner they would grant what nobody granted. On directories set-group-ID only inherits.
            let dropped =
                mode & ((ownerIsSet.user ? 0 : 0o4000) | (ownerIsSet.group || subject.kind == .directory ? 0 : 0o2000))
            if dropped != 0, subject.kind != .symlink {
                mode &= ~dropped
                problems.warn(.setIDBits, subject.path)
            }
        }
        if !subject.isNew || subject.inheritsACL { removeForeignAttributes(metadata, of: subject) }
        if !metadata.attributes.isEmpty, !setAttributes(metadata.attributes, of: subject) {
            // With an ACL the group bits are its mask. Without it the owning group would get all that the mask allows.
            mode &= ~0o070
        }
        if subject.kind != .symlink {
            // ACLs and, on files with set-id bits, the owner change the mode.
            let isUntouched = subject.isNew && !subject.inheritsACL && metadata.attributes.isEmpty
            setMode(mode, of: subject, isUntouched: isUntouched)
        }
        setModified(metadata.modified, of: subject)
    }

    private func setOwner(_ metadata: RestoreMetadata, of subject: Subject) -> (user: Bool, group: Bool) {
        let status = subject.status
        let user = metadata.userID ?? status.userID
        let group = metadata.groupID ?? status.groupID
        var isUser = user == status.userID
        var isGroup = group == status.groupID
        if !isUser || !isGroup {
            let newUser = isUser || !accounts.isPrivileged ? uid_t.max : user
            let newGroup = isGroup || !accounts.canGive(to: group) ? gid_t.max : group
            if newUser != .max || newGroup != .max, changeOwner(newUser, newGroup, of: subject) {
                isUser = isUser || newUser != .max
                isGroup = isGroup || newGroup != .max
            }
            if !isUser || !isGroup { problems.warn(.ownership, subject.path) }
        }
        // Under `unchanged` nobody counts as the owner that the set-id bits were for.
        return metadata.userID == nil ? (false, false) : (isUser, isGroup)
    }

    private func changeOwner(_ user: uid_t, _ group: gid_t, of subject: Subject) -> Bool {
        guard let name = subject.name else { return fchown(subject.descriptor, user, group) == 0 }
        // By its descriptor, because whoever may write to the directory could exchange what has the name.
        let descriptor = hawser_restore_open_path(subject.descriptor, name)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard let status = RestoreStatus(descriptor: descriptor), status.identity == subject.status.identity else {
            return false
        }
        return hawser_restore_change_owner(descriptor, user, group) == 0
    }

    private func setMode(_ mode: UInt16, of subject: Subject, isUntouched: Bool) {
        let now: RestoreStatus? =
            if isUntouched {
                subject.status
            } else if let name = subject.name {
                RestoreStatus(in: subject.descriptor, name)
            } else {
                RestoreStatus(descriptor: subject.descriptor)
            }
        if now?.mode == mode { return }
        let result =
            if let name = subject.name {
                fchmodat(subject.descriptor, name, mode_t(mode), AT_SYMLINK_NOFOLLOW)
            } else {
                fchmod(subject.descriptor, mode_t(mode))
            }
        if result != 0 { reportFailure("set the mode", subject) }
    }

    private func setModified(_ modified: Timestamp, of subject: Subject) {
        // Larger numbers have special meanings to the system call.
        guard modified.nanoseconds < 1_000_000_000 else {
            problems.report(
                subject.path,
                HawserError(.damaged, "The modification time is not a time.", place: subject.path.description)
            )
            return
        }
        let result = hawser_restore_set_modified(
            subject.descriptor,
            subject.name,
            modified.seconds,
            Int64(modified.nanoseconds)
        )
        if result != 0 { reportFailure("set the modification time", subject) }
    }

    /// Sets the inode flags, after which the file may be immutable: the last of all.
    func setFlags(_ flags: UInt32?, mask: UInt32, of subject: Subject) {
        guard let flags, subject.kind == .file || subject.kind == .directory else { return }
        // Nothing to set, nothing can be there.
        if flags & mask == 0, subject.isNew { return }
        var current: UInt32 = 0
        if hawser_restore_get_flags(subject.descriptor, &current) != 0 {
            if flags & mask != 0 { problems.warn(.inodeFlags, subject.path) }
            return
        }
        let wanted = (current & ~mask) | (flags & mask)
        if wanted != current, hawser_restore_set_flags(subject.descriptor, wanted) != 0 {
            problems.warn(.inodeFlags, subject.path)
        }
    }

    func reportFailure(_ what: String, _ subject: Subject) {
        var error = HawserError.restore(what, subject.path, errno: errno)
        // What is thrown as `storageFull` stops the restore; an attribute without room does not.
        if error.code == .storageFull { error.code = .fileSystem }
        problems.report(subject.path, error)
    }
}
