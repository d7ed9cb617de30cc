import CHawser
import Glibc
import HawserFormat

/// Entries for content that has no place in a file system of its own.
struct SyntheticEntries: Sendable {
    private let accounts = AccountNames()
    private let now: Timestamp

    init() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        now = Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }

    /// From the virtual root to the path's parent: directories of the current user.
    func ancestors(of path: EntryPath) -> [Entry] {
        var ancestors: [Entry] = []
        var next = path.parent
        while let ancestor = next {
            ancestors.append(entry(at: ancestor, kind: .directory, mode: 0o755))
            next = ancestor.parent
        }
        return ancestors.reversed()
    }

    func entry(at path: EntryPath, kind: Entry.Kind, mode: UInt16) -> Entry {
        var entry = Entry(path: path, kind: kind)
        entry.mode = mode
        entry.userID = geteuid()
        entry.groupID = getegid()
        (entry.userName, entry.groupName) = accounts.names(user: entry.userID, group: entry.groupID)
        entry.modified = now
        entry.changed = now
        return entry
    }
}
