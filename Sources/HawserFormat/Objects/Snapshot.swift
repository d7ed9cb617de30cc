/// One finished backup: what was saved, where from, and the root of its tree.
///
/// Sealed JSON whose names are restic's where restic has the same thing. Text is bytes, because names of hosts, users
/// and files need not be UTF-8. Fields that this version does not know are kept when a snapshot is written again.
public struct Snapshot: Sendable, Hashable {
    /// What a backup did and found. Counts of things, lengths in bytes.
    public struct Summary: Sendable, Hashable {
        public var started: Timestamp
        public var ended: Timestamp
        public var filesNew: UInt64 = 0
        public var filesChanged: UInt64 = 0
        public var filesUnmodified: UInt64 = 0
        public var directoriesNew: UInt64 = 0
        public var directoriesChanged: UInt64 = 0
        public var directoriesUnmodified: UInt64 = 0
        /// Regular files in the snapshot.
        public var files: UInt64 = 0
        public var directories: UInt64 = 0
        /// Symbolic links, devices, sockets, fifos.
        public var others: UInt64 = 0
        /// Content of all files.
        public var bytes: UInt64 = 0
        /// New chunks before compression.
        public var bytesAdded: UInt64 = 0
        /// New chunks as stored.
        public var bytesAddedPacked: UInt64 = 0
        var unknownFields = JSONObject()

        public init(started: Timestamp, ended: Timestamp) {
            self.started = started
            self.ended = ended
        }
    }

    /// When the backup began, unless the user gave another time.
    public var time: Timestamp
    public var hostname: [UInt8]
    public var username: [UInt8]
    /// The absolute paths that were asked for.
    public var paths: [[UInt8]]
    public var tags: [[UInt8]] = []
    public var excludes: [[UInt8]] = []
    /// What this backup compared with.
    public var parent: ObjectName?
    /// The snapshot that this one was before its tags were changed, or was copied from.
    public var original: ObjectName?
    public var tree: ChunkID
    /// The level of the root page, 0 if it holds entries; at most 31.
    public var treeHeight: Int
    /// False if files could not be read, or changed while they were read.
    public var isComplete = true
    /// How many files that were.
    public var errorCount: UInt64 = 0
    /// The provider's session that wrote it, and its fence.
    public var session: String?
    public var fence: UInt64?
    public var programVersion: String
    public var summary: Summary
    var unknownFields = JSONObject()

    public init(
        time: Timestamp,
        hostname: [UInt8],
        username: [UInt8],
        paths: [[UInt8]],
        tree: ChunkID,
        treeHeight: Int,
        programVersion: String,
        summary: Summary
    ) {
        self.time = time
        self.hostname = hostname
        self.username = username
        self.paths = paths
        self.tree = tree
        self.treeHeight = treeHeight
        self.programVersion = programVersion
        self.summary = summary
    }

    /// The snapshot that takes this one's place, with other tags.
    ///
    /// - Parameter id: What this snapshot is called now.
    public func retagged(_ tags: [[UInt8]], id: ObjectName) -> Snapshot {
        var copy = self
        copy.tags = tags
        copy.original = original ?? id
        return copy
    }
}
