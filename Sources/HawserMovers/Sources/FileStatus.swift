import CHawser
import Glibc
import HawserFormat

/// What one statx call tells.
struct FileStatus: Sendable {
    private var raw = hawser_file_status()

    mutating func read(_ name: UnsafePointer<CChar>, in directory: Int32, following: Bool) throws(CallFailure) {
        let result = hawser_file_status(directory, name, following ? 1 : 0, &raw)
        if result != 0 { throw CallFailure(code: -result) }
    }

    /// `nil` for a kind that this version doesn't know.
    var kind: Entry.Kind? { Entry.Kind(mode: raw.mode) }

    var size: UInt64 { raw.size }
    var owner: UInt32 { raw.user }
    var identity: FileIdentity { FileIdentity(device: device, inode: raw.inode) }
    /// Of the file system; holds until it is unmounted.
    var device: UInt64 { UInt64(raw.device_major) << 32 | UInt64(raw.device_minor) }
    /// Less room than its bytes need. Compressing file systems have that too, so it only says that asking for holes is worth it.
    /// A file with holes has it not always: its attributes may take blocks too.
    var hasFewBlocks: Bool { raw.blocks < (raw.size + 511) / 512 }
    /// The inode flags that statx tells.
    var flags: UInt32 { UInt32(truncatingIfNeeded: raw.attributes) & InodeFlags.fromStatus }

    /// Whether the content has to be taken as the same.
    func isUnchanged(since entry: Entry) -> Bool {
        raw.size == entry.size && raw.inode == entry.inode && Timestamp(raw.modified) == entry.modified
            && Timestamp(raw.changed) == entry.changed
    }

    func isUnchanged(since other: FileStatus) -> Bool {
        raw.size == other.raw.size && raw.inode == other.raw.inode
            && Timestamp(raw.modified) == Timestamp(other.raw.modified)
            && Timestamp(raw.changed) == Timestamp(other.raw.changed)
    }

    func entry(at path: EntryPath, kind: Entry.Kind, accounts: AccountNames, links: LinkGroups) -> Entry {
        var entry = Entry(path: path, kind: kind)
        entry.mode = UInt16(raw.mode & 0o7777)
        entry.userID = raw.user
        entry.groupID = raw.group
        (entry.userName, entry.groupName) = accounts.names(user: raw.user, group: raw.group)
        entry.modified = Timestamp(raw.modified)
        entry.changed = Timestamp(raw.changed)
        entry.inode = raw.inode
        if raw.has_created != 0 { entry.created = Timestamp(raw.created) }
        switch kind {
        case .file: entry.size = raw.size
        case .characterDevice, .blockDevice:
            entry.device = Entry.Device(major: raw.special_major, minor: raw.special_minor)
        default: break
        }
        if raw.links > 1, kind != .directory { entry.linkGroup = links.group(of: identity) }
        return entry
    }
}

extension Entry.Kind {
    /// `nil` for a kind that this version doesn't know.
    init?(mode: mode_t) {
        switch mode & S_IFMT {
        case S_IFREG: self = .file
        case S_IFDIR: self = .directory
        case S_IFLNK: self = .symlink
        case S_IFIFO: self = .fifo
        case S_IFSOCK: self = .socket
        case S_IFCHR: self = .characterDevice
        case S_IFBLK: self = .blockDevice
        default: return nil
        }
    }
}

/// What tells two files apart while both exist.
struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
}

extension Timestamp {
    init(_ time: hawser_file_time) {
        self.init(seconds: time.seconds, nanoseconds: time.nanoseconds)
    }
}

/// `FS_*_FL` bits (linux/fs.h), the same numbers for all file systems.
enum InodeFlags {
    /// Those that a user sets and a restore can set again: sync, compressed, immutable, append only, no dump, no atime, not
    /// compressed, no tail packing, directory sync, top of a hierarchy, no copy on write, DAX, project inheritance, case folding.
    static let kept: UInt32 =
        0x8 | 0x4 | 0x10 | 0x20 | 0x40 | 0x80 | 0x400 | 0x8000 | 0x1_0000 | 0x2_0000 | 0x80_0000
        | 0x200_0000 | 0x2000_0000 | 0x4000_0000
    /// STATX_ATTR_COMPRESSED, _IMMUTABLE, _APPEND and _NODUMP, which have the values of their `FS_*_FL`.
    static let fromStatus: UInt32 = 0x4 | 0x10 | 0x20 | 0x40
}
