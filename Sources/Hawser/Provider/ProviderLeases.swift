import HawserControl
import HawserFormat
import HawserTransfer

/// The quota of a provider's repository: leased by this machine where it stores by itself, and left to whoever stores or
/// signs for it otherwise.
struct ProviderLeases: ByteLeases {
    let monitor: QuotaMonitor
    let store: ProviderStore

    // The monitor counts from 1.
    private static let none: UInt64 = 0

    func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease {
        guard try await store.way().reserves else { return ByteLease(id: Self.none, key: key, bytes: bytes) }
        return try await monitor.reserve(bytes, for: key)
    }

    func commit(_ lease: ByteLease) async {
        guard lease.id == Self.none else { return await monitor.commit(lease) }
        // A gateway server tells the provider itself.
        guard let way = await store.openWay, way.mode == .direct else { return }
        await monitor.noteStored(lease.key, bytes: lease.bytes)
    }

    func release(_ lease: ByteLease) async {
        guard lease.id != Self.none else { return }
        await monitor.release(lease)
    }

    func permit(_ key: ObjectKey, replacing replaced: ObjectKey?) async throws {
        try await monitor.permit(key, replacing: replaced)
    }

    var time: Timestamp? { monitor.time }

    func receipts() async throws -> [ObjectName: SnapshotReceipt]? { try await monitor.receipts() }
}
