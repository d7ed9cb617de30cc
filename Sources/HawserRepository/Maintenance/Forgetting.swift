public import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// By the clock of the provider, or of the storage, where they say: what is old enough must not depend on this machine's.
    public var storageTime: Timestamp? { target.time }

    /// The snapshots with the times by which they are retained.
    ///
    /// An agent whose clock is wrong, or that lies, can't push good snapshots out: with a provider, the time at which he took
    /// note of a snapshot counts, or else the storage; without one, a snapshot's own time, but not later than the storage
    /// received it (it may have been copied there since).
    ///
    /// - Parameter trustsOwnTimes: the snapshots' own times count, whoever received them: of backups whose times were given.
    public func retentionCandidates(
        _ filter: SnapshotFilter = SnapshotFilter(),
        trustsOwnTimes: Bool = false,
        unreadable: ((ObjectKey, HawserError) -> Void)? = nil
    ) async throws -> [RetentionCandidate] {
        let snapshots = try await snapshots(filter, unreadable: unreadable)
        if trustsOwnTimes { return snapshots.map { RetentionCandidate($0, time: $0.snapshot.time) } }
        // After them: whoever is told of a snapshot is told before it is stored.
        var arrivals: [ObjectName: Timestamp] = [:]
        for try await info in target.list(.snapshot) {
            if let id = info.key.name, let stored = info.stored { arrivals[id] = stored }
        }
        let receipts = try await target.receipts()
        return snapshots.compactMap { stored in
            let (own, arrival) = (stored.snapshot.time, arrivals[stored.id])
            guard let receipts else { return RetentionCandidate(stored, time: min(own, arrival ?? own)) }
            // Of one that has neither by now nobody knows more than what it says: it stays, and pushes nothing out.
            guard let time = receipts[stored.id]?.time ?? arrival else { return nil }
            return RetentionCandidate(stored, time: time, noted: receipts[stored.id]?.noted ?? time)
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
