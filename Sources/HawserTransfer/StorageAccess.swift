/// How a storage is best used. What counts is how long it takes to answer: a request to a disk is over before another one
/// could be made, one over a network waits for its answer most of the time.
public struct StorageAccess: Hashable, Sendable {
    /// How many uploads run at one time, above 0. Fewer when the memory has fewer packs.
    public var parallelUploads: Int
    /// How many ranges a restore asks for at one time, above 0. Fewer when the memory has no room for them.
    public var parallelFetches: Int
    /// Whether snapshots and metadata packs, sealed as they are, are kept in the local cache, so that they are fetched
    /// once.
    public var keepsObjects: Bool
    /// How long data packs are in a small repository, bytes. Short ones need less memory, long ones fewer requests.
    public var packSize: Int

    public init(parallelUploads: Int, parallelFetches: Int, keepsObjects: Bool, packSize: Int = 16 << 20) {
        self.parallelUploads = parallelUploads
        self.parallelFetches = parallelFetches
        self.keepsObjects = keepsObjects
        self.packSize = packSize
    }

    /// A folder: one pack is written while another waits for the disk to have it. Ranges come from several disks, or in a
    /// better order, when four are asked for.
    public static let local = StorageAccess(
        parallelUploads: 2,
        parallelFetches: 4,
        keepsObjects: false,
        packSize: 8 << 20
    )

    /// Object storage behind a network. At 100 ms, 16 requests of 4 MiB are 5 Gbit/s.
    public static let remote = StorageAccess(parallelUploads: 16, parallelFetches: 16, keepsObjects: true)
}
