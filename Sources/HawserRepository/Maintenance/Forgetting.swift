public import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// The snapshots with the times by which they are retained.
    ///
    /// Where a provider keeps receipts, the time of the receipt counts: an agent whose clock is wrong, or that lies, can't
    /// push good snapshots out. Elsewhere it is the snapshot's own time, but not later than the storage received it.
    public func retentionCandidates(
        _ filter: SnapshotFilter = SnapshotFilter(),
        unreadable: ((ObjectKey, HawserError) -> Void)? = nil
    ) async throws -> [RetentionCandidate] {
        var receipts: [ObjectName: Timestamp] = [:]
        for try await info in target.list(.receipt) {
            if let id = info.key.snapshot, let stored = info.stored { receipts[id] = stored }
        }
        var arrivals: [ObjectName: Timestamp] = [:]
        for try await info in target.list(.snapshot) {
            if let id = info.key.name, let stored = info.stored { arrivals[id] = stored }
        }
        return try await snapshots(filter, unreadable: unreadable).map { stored in
            let own = min(stored.snapshot.time, arrivals[stored.id] ?? stored.snapshot.time)
            return RetentionCandidate(stored, time: receipts[stored.id] ?? own)
        }
    }

    /// Removes snapshots. What only they needed is removed by `prune`.
    ///
    /// Only the snapshots' own objects: with them the backups are gone, in one step each. Their refs stay, because those
    /// of later snapshots may build on them, and because a snapshot must never be without; `Pruner` removes refs whose
    /// snapshot is gone.
    public func forget(_ ids: [ObjectName]) async throws {
        try requireWritable()
        try await target.delete(ids.map { .named(.snapshot, $0) })
    }
}
