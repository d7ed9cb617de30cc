public import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// The snapshots with the times by which they are retained.
    ///
    /// A snapshot's own time, but not later than the storage received it: an agent whose clock is wrong, or that lies, can't
    /// push good snapshots out.
    public func retentionCandidates(
        _ filter: SnapshotFilter = SnapshotFilter(),
        unreadable: ((ObjectKey, HawserError) -> Void)? = nil
    ) async throws -> [RetentionCandidate] {
        var arrivals: [ObjectName: Timestamp] = [:]
        for try await info in target.list(.snapshot) {
            if let id = info.key.name, let stored = info.stored { arrivals[id] = stored }
        }
        return try await snapshots(filter, unreadable: unreadable).map { stored in
            let own = stored.snapshot.time
            return RetentionCandidate(stored, time: min(own, arrivals[stored.id] ?? own))
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
