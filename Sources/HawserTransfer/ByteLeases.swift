public import HawserFormat

/// Bytes of the tenant's quota that are set aside for one object.
public struct ByteLease: Hashable, Sendable {
    /// Given by who keeps the leases.
    public let id: UInt64
    /// Of the object.
    public let key: ObjectKey
    public let bytes: Int

    public init(id: UInt64, key: ObjectKey, bytes: Int) {
        self.id = id
        self.key = key
        self.bytes = bytes
    }
}

/// Who says whether there is still room: reserve, then store, then commit or release, so that two sessions can't both
/// have the last byte.
///
/// Every reservation is followed by exactly one `commit` or `release`; both must work in a cancelled task too.
public protocol ByteLeases: Sendable {
    /// Throws `quotaExceeded` when there is no room.
    ///
    /// - Parameter key: of the object that will have them.
    func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease

    /// The object was stored and its bytes are new.
    func commit(_ lease: ByteLease) async

    /// Nothing new was stored.
    func release(_ lease: ByteLease) async

    /// Asked before a snapshot or a checkpoint is written, after everything that it reaches: whether whoever watches over
    /// the storage knows of this session, so that nothing that it needs has been taken for garbage.
    ///
    /// Throws `session_over` when he does not: then nothing that makes older objects needed again may be written.
    ///
    /// - Parameter replaced: the snapshot whose place the object takes.
    func permit(_ key: ObjectKey, replacing replaced: ObjectKey?) async throws

    /// By the clock of whoever watches over the storage; `nil` when nobody does.
    var time: Timestamp? { get }

    /// When whoever watches over the storage took note of each snapshot, by its id; `nil` when nobody watches.
    func receipts() async throws -> [ObjectName: SnapshotReceipt]?
}

extension ByteLeases {
    /// Nobody watches.
    public func permit(_ key: ObjectKey, replacing replaced: ObjectKey?) async throws {}

    /// Nobody watches.
    public var time: Timestamp? { nil }

    /// Nobody watches.
    public func receipts() async throws -> [ObjectName: SnapshotReceipt]? { nil }
}

/// For storage without a quota of Hawser's: its own limits hold.
public struct UnlimitedLeases: ByteLeases {
    public init() {}

    public func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease {
        ByteLease(id: 0, key: key, bytes: bytes)
    }

    public func commit(_ lease: ByteLease) async {}
    public func release(_ lease: ByteLease) async {}
}
