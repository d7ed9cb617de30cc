import HawserFormat
import HawserStorage
import HawserTransfer

/// A target that says what has been stored, and fails when `stored` throws.
struct WatchedTarget: DataMoverTarget {
    let base: any DataMoverTarget
    let stored: @Sendable (ObjectKey) async throws -> Void

    func store(_ object: SealedObject) async throws -> StoreReceipt {
        let receipt = try await base.store(object)
        try await stored(object.key)
        return receipt
    }

    func fetch(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await base.fetch(key, range: range)
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }
    func list(prefix: String) -> ObjectListing { base.list(prefix: prefix) }
    func delete(_ keys: [ObjectKey]) async throws { try await base.delete(keys) }
}
