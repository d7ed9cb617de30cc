public import HawserFormat
import Synchronization

/// Repeats requests that failed for reasons that pass: the only layer that does (``LockingStore`` has none).
///
/// Never repeated: errors that are not marked as retryable, errors of other types, cancellation.
///
/// After a `put` has failed it is not known whether the object was stored: the answer may have been lost. So before it
/// is sent again, `head` is asked, and an object of the same length counts as created by this call (for a key that
/// does not name a hash: only when its bytes are the same, otherwise this throws `conflict`). That only saves bytes: where
/// it fails in passing the object is sent, and who finds it there looks again.
///
/// Place it outside of `LimitedStore`, so that a request that pauses holds no slot.
public final class RetryingStore: ObjectStore {
    private let base: any ObjectStore
    private let policy: RetryPolicy
    private let stopwatch: Stopwatch
    private let random: @Sendable () -> Double
    private let onRetry: @Sendable (RetryEvent) -> Void
    /// Requests that the storage answered, for better or worse.
    private let answers = Atomic(0)

    /// - Parameters:
    ///   - clock: one that stands still while the machine sleeps, or a closed laptop has used up its time.
    ///   - random: gives numbers in 0..<1.
    ///   - onRetry: is told before each pause; must not block.
    public init(
        _ base: any ObjectStore,
        policy: RetryPolicy = RetryPolicy(),
        clock: any Clock<Duration> = SuspendingClock(),
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        onRetry: @escaping @Sendable (RetryEvent) -> Void = { _ in }
    ) {
        self.base = base
        self.policy = policy
        stopwatch = Stopwatch(clock)
        self.random = random
        self.onRetry = onRetry
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        var isRepeated = false
        return try await retrying(.put) {
            guard isRepeated else {
                isRepeated = true
                return try await base.put(key, bytes, sha256: sha256)
            }
            do {
                if try await isStored(key, bytes) { return .created }
            } catch let error as HawserError where error.isRetryable {}
            switch try await base.put(key, bytes, sha256: sha256) {
            case .created: return .created
            case .existed: return try await isStored(key, bytes) ? .created : .existed
            }
        }
    }

    private func isStored(_ key: ObjectKey, _ bytes: [UInt8]) async throws -> Bool {
        let info = try await base.head(key)
        answers.add(1, ordering: .relaxed)
        guard let info else { return false }
        guard key.name == nil else {
            if info.length == bytes.count { return true }
            throw HawserError(
                .damaged,
                "The storage holds \(info.length) bytes of an object of \(bytes.count). Run `hawser check`.",
                place: key.path
            )
        }
        if info.length == bytes.count, try await base.get(key, range: nil) == bytes { return true }
        throw HawserError(.conflict, "Another object of this name exists.", place: key.path)
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await retrying(.get) { try await base.get(key, range: range) }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await retrying(.head) { try await base.head(key) }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await retrying(.list) { try await base.list(prefix: prefix, after: after, limit: limit) }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await retrying(.delete) { try await base.delete(keys) }
    }

    private func retrying<Result>(
        _ operation: StoreOperation,
        _ attempt: () async throws -> Result
    ) async throws -> Result {
        var state = RetryState(policy: policy)
        var known = answers.load(ordering: .relaxed)
        var firstFailure: Duration?
        var isDamaged = false
        while true {
            do {
                let result = try await attempt()
                answers.add(1, ordering: .relaxed)
                return result
            } catch {
                guard var cause = error as? HawserError else { throw error }
                // Not from the beginning: a request may have waited for its turn in a throttle.
                let now = stopwatch.elapsed()
                let elapsed = now - (firstFailure ?? now)
                firstFailure = firstFailure ?? now
                if cause.code == .notFound || cause.code == .conflict { answers.add(1, ordering: .relaxed) }
                let answers = answers.load(ordering: .relaxed)
                // A damaged object tells nothing of the storage, and waiting mends it seldom: it is tried once more.
                let storage: StorageReach =
                    answers == 0 || cause.code == .damaged ? .unknown : answers == known ? .away : .present
                known = answers
                let isLast = isDamaged && cause.code == .damaged
                isDamaged = cause.code == .damaged
                guard !isLast,
                    let pause = state.pause(after: error, elapsed: elapsed, random: random(), storage: storage)
                else {
                    // What can't be read so often is this object's own fault, and no reason to give up all others.
                    if cause.code == .damaged { cause.isRetryable = false }
                    throw cause
                }
                onRetry(RetryEvent(operation: operation, attempts: state.attempts, pause: pause, error: cause))
                try await stopwatch.sleep(pause)
            }
        }
    }
}
