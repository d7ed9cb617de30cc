import HawserFormat
import HawserStorage
import HawserTransfer

/// Until when what recent snapshots need was promised to be locked.
struct PromisedLocks {
    private let lock: ObjectLock?
    private let now: Timestamp
    private(set) var packs: [PackReference: Timestamp] = [:]
    private(set) var snapshots: [ObjectName: Timestamp] = [:]

    /// Clocks of machines and storages differ, and a backup's packs are locked from when they were stored.
    private static let tolerance = Timestamp.secondsPerDay

    init(_ repository: Repository) {
        lock = repository.target.locks == nil ? nil : repository.config.lock
        now = repository.target.locks?.storageTime ?? Timestamp(seconds: 0)
    }

    /// What a snapshot needs whose backup began at `time`.
    mutating func add(_ snapshot: ObjectName, packs named: some Sequence<PackReference>, begun time: Timestamp) {
        guard let lock else { return }
        let end = Timestamp(seconds: lock.leastEnd(at: min(time, now)).seconds - Self.tolerance)
        if end <= now { return }
        snapshots[snapshot] = end
        for pack in named { packs[pack] = max(packs[pack] ?? end, end) }
    }
}

extension RepositoryCheck {
    /// What should be locked and is not can be deleted by whoever has the storage's keys.
    func checkLocks(_ promised: PromisedLocks, _ log: inout CheckLog) async throws {
        guard let locks = repository.target.locks, let last = promised.snapshots.values.max() else { return }
        var others: [(ObjectKey, Timestamp)] = promised.snapshots.map { (.named(.snapshot, $0), $1) }
        others.append((.config(repository.config.header.generation), last))
        for try await info in repository.target.list(.keySlot) { others.append((info.key, last)) }
        var unlocked: [ObjectKey] = []
        let isLocked = { @Sendable (key: ObjectKey, end: Timestamp) async throws -> Bool in
            do {
                return try await locks.lockEnd(of: key).map { $0 >= end } ?? false
            } catch let error as HawserError where error.code == .notFound {
                // Found by others, or forgotten meanwhile.
                return true
            }
        }
        try await withBoundedTasks(over: promised.packs, width: Parallelism.requests) { pack, end in
            try await isLocked(pack.key, end) ? nil : pack.key
        } take: { (key: ObjectKey?) in
            if let key { unlocked.append(key) }
        }
        try await withBoundedTasks(over: others, width: Parallelism.requests) { key, end in
            try await isLocked(key, end) ? nil : key
        } take: { (key: ObjectKey?) in
            if let key { unlocked.append(key) }
        }
        guard let first = unlocked.min() else { return }
        repository.cache.forgetLockedPacks()
        let error = HawserError(
            .damaged,
            "\(unlocked.count) objects that recent snapshots need are not locked as long as they should be: somebody could "
                + "delete them. The next backup from here locks what it needs. Or the keys lack s3:GetObjectRetention, so "
                + "that locks can't be seen."
        )
        log.add(first.path, error)
    }
}
