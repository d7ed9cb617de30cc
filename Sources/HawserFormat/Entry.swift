/// A point in time as file systems have it: any sign, nanoseconds.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Since 1970-01-01 00:00 UTC, negative before.
    public var seconds: Int64
    /// 0..<1,000,000,000, counted forward from `seconds` also before 1970.
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// One stretch of a file's content.
public enum Extent: Hashable, Sendable {
    /// A chunk and its plain length in bytes.
    case data(ChunkID, length: Int)
    /// Zeros that the source had allocated.
    case zero(length: Int)
    /// A hole in the source: restored as a hole.
    case hole(length: Int)

    public var length: Int {
        switch self {
        case .data(_, let length), .zero(let length), .hole(let length): length
        }
    }
}

/// The bytes of a regular file or stream, or where they are.
public enum Content: Hashable, Sendable {
    /// The bytes themselves, at most `Entry.inlineLimit`.
    case inline([UInt8])
    /// At most `Entry.extentLimit` extents.
    case extents([Extent])
    /// The root of a tree of content-list blobs: its chunk id and how many levels lie below it (0: it lists extents).
    case list(ChunkID, height: Int)
}

/// An extended attribute; access control lists are among them, as the system stores them.
public struct ExtendedAttribute: Hashable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// One file, directory or other node of a snapshot, as the file system showed it before it was read.
public struct Entry: Hashable, Sendable {
    public enum Kind: UInt8, Sendable, CaseIterable {
        case file = 1
        case directory = 2
        case symlink = 3
        case fifo = 4
        case socket = 5
        case characterDevice = 6
        case blockDevice = 7
    }

    /// Content up to this many bytes lies in the entry itself.
    public static let inlineLimit = 512
    /// More extents than this become content-list blobs.
    public static let extentLimit = 64

    public var path: EntryPath
    public var kind: Kind
    /// Permission, set-id and sticky bits: 0...0o7777.
    public var mode: UInt16
    public var userID: UInt32
    public var groupID: UInt32
    /// Empty when the system had no name for the id.
    public var userName: [UInt8]
    public var groupName: [UInt8]
    /// Bytes of content; 0 for what has none.
    public var size: UInt64
    public var modified: Timestamp
    public var changed: Timestamp
    public var inode: UInt64

    // Tagged fields.
    public var created: Timestamp?
    public var linkTarget: [UInt8]?
    /// Of character and block devices.
    public var device: Device?
    /// `FS_IOC_GETFLAGS` bits that are worth keeping: immutable, append only, no dump, no copy on write …
    public var inodeFlags: UInt32?
    public var attributes: [ExtendedAttribute]
    /// Attributes above 4 KiB in sum lie in one blob of type `attribute`.
    public var attributeBlob: ChunkID?
    /// Equal for all names of one file with several hard links.
    public var linkGroup: UInt64?
    public var content: Content?
    /// The file's status differed after it was read: it may hold parts of two states. From a source: it always counts as changed.
    public var changedWhileRead: Bool
    /// Fields of later versions, kept as they are, in ascending order of their tags.
    public var unknownFields: [UnknownField]

    public struct Device: Hashable, Sendable {
        public var major: UInt32
        public var minor: UInt32

        public init(major: UInt32, minor: UInt32) {
            self.major = major
            self.minor = minor
        }
    }

    public struct UnknownField: Hashable, Sendable {
        public var tag: UInt64
        public var value: [UInt8]

        public init(tag: UInt64, value: [UInt8]) {
            self.tag = tag
            self.value = value
        }
    }

    public init(path: EntryPath, kind: Kind) {
        self.path = path
        self.kind = kind
        mode = 0
        userID = 0
        groupID = 0
        userName = []
        groupName = []
        size = 0
        modified = Timestamp(seconds: 0)
        changed = Timestamp(seconds: 0)
        inode = 0
        attributes = []
        changedWhileRead = false
        unknownFields = []
    }
}
