import Glibc
import HawserFormat
import HawserStorage
import HawserTransfer

/// Until when objects were promised to be locked.
struct PromisedLocks {
    private let lock: ObjectLock?
    private let now = Timestamp(seconds: Int64(time(nil)))
    private(set) var ends: [ObjectKey: Timestamp] = [:]

    /// Clocks of machines and storages differ, and a backup's packs are locked from when they were stored.
    private static let tolerance = Timestamp.secondsPerDay

    init(_ lock: ObjectLock?) {
        self.lock = lock
    }

    /// What a snapshot needs whose backup began at `time`.
    mutating func add(_ snapshot: ObjectKey, packs: some Sequence<PackReference>, begun time: Timestamp) {
        guard let lock else { return }
        let end = Timestamp(seconds: lock.leastEnd(at: min(time, now)).seconds - Self.tolerance)
        if end <= now { return }
        ends[snapshot] = end
        for pack in packs { ends[pack.key] = max(ends[pack.key] ?? end, end) }
    }
}

extension RepositoryCheck {
    /// What should be locked and is not can be deleted by whoever has the storage's keys. The next backup locks what it
    /// needs.
    func checkLocks(_ promised: PromisedLocks, _ log: inout CheckLog) async throws {
        guard let locks = repository.target.locks, !promised.ends.isEmpty else { return }
        var unlocked: [ObjectKey] = []
        try await withBoundedTasks(over: promised.ends, width: Parallelism.requests) { key, end in
            do {
                return try await locks.lockEnd(of: key).map { $0 >= end } ?? false ? nil : key
            } catch let error as HawserError where error.code == .notFound {
                // Found by others, or forgotten meanwhile.
                return nil
            }
        } take: { (key: ObjectKey?) in
            if let key { unlocked.append(key) }
        }
        guard let first = unlocked.min() else { return }
        let error = HawserError(
            .damaged,
            "\(unlocked.count) objects of recent snapshots are not locked as long as they should be, such as \(first.path): "
                + "somebody could delete them. The next backup locks what it needs; else the keys may lack "
                + "s3:GetObjectRetention, so that locks can't be seen."
        )
        log.add(first.path, error)
    }
}
