public import HawserFormat

/// What a backup does beside reading its source.
public struct BackupOptions: Sendable {
    public var hostname: [UInt8]
    public var username: [UInt8]
    public var tags: [String] = []
    /// The patterns that the source was made with; only recorded.
    public var excludes: [String] = []
    /// The snapshot's time when it is not now.
    public var time: Timestamp?
    public var parent: Parent = .automatic
    /// Reads every file, whatever the parent says.
    public var force = false
    /// A changed inode number alone does not make a file a changed one.
    public var ignoresInode = false
    /// A changed change time (ctime) alone does not make a file a changed one.
    public var ignoresChangeTime = false
    /// Writes no snapshot when nothing differs from the parent.
    public var skipsIfUnchanged = false
    public var compression = CompressionMethod.auto
    /// Opens and compares each chunk right after it was sealed. Costs about a seventh of the time.
    public var verifies = true
    /// Finds out what would be stored, and stores nothing.
    public var dryRun = false
    /// Bytes: the most memory that the process should need, files in the page cache apart; at least 96 MiB.
    public var memory = 128 << 20
    /// How often a resume point is written.
    public var checkpointInterval = Duration.seconds(600)

    public enum Parent: Sendable {
        /// The last snapshot of the same host and paths.
        case automatic
        case snapshot(ObjectName)
    }

    public init(hostname: [UInt8], username: [UInt8]) {
        self.hostname = hostname
        self.username = username
    }
}
