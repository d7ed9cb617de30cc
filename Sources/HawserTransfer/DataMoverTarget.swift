public import HawserFormat
public import HawserStorage

/// Where the source side sends sealed objects and fetches them from: directly the storage, or a gateway.
///
/// Errors are `HawserError`s, or `CancellationError` when the task is cancelled.
public protocol DataMoverTarget: Sendable {
    /// How it is best used.
    var access: StorageAccess { get }

    /// Where objects can be locked from here: `nil` where they can't, or where whoever stands between sees to it.
    var locks: (any LockingStore)? { get }

    /// By the clock of whoever watches over the storage, or else the storage's own as far as it is known; `nil` in a folder.
    var time: Timestamp? { get }

    /// Durable when it returns. May be called from many tasks; the target bounds how many uploads run.
    ///
    /// Throws `quotaExceeded` and `storageFull` when there is no room, `damaged` or `conflict` when the storage holds
    /// another object under this key.
    func store(_ object: SealedObject) async throws -> StoreReceipt

    /// - Parameter range: `nil` for the whole object; not empty, in bytes.
    func fetch(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8]

    /// `nil` when there is no such object.
    func head(_ key: ObjectKey) async throws -> ObjectInfo?

    /// All objects whose path begins with `prefix`, in ascending order of their keys.
    func list(prefix: String) -> ObjectListing

    /// When whoever watches over the storage took note of each snapshot, by its id; `nil` when nobody does.
    func receipts() async throws -> [ObjectName: SnapshotReceipt]?

    /// Deletes, or asks the provider to, as he decides.
    func delete(_ keys: [ObjectKey]) async throws
}

extension DataMoverTarget {
    public var access: StorageAccess { .local }

    public var locks: (any LockingStore)? { nil }

    public var time: Timestamp? { nil }

    public func receipts() async throws -> [ObjectName: SnapshotReceipt]? { nil }

    public func list(_ kind: ObjectKind) -> ObjectListing { list(prefix: kind.prefix) }
}
