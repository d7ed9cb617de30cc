import Synchronization

/// A clock that a test moves: nothing sleeps, and nothing depends on the speed of the machine.
public final class ManualClock: Clock, Sendable {
    public struct Instant: InstantProtocol, Hashable {
        /// Since the clock was made.
        public var offset: Duration

        public func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        public func duration(to other: Instant) -> Duration { other.offset - offset }
        public static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private enum Waiter {
        case sleeping(until: Instant, CheckedContinuation<Void, any Error>)
        /// Waits until that many sleep.
        case counting(Int, CheckedContinuation<Void, any Error>)
    }

    private struct State {
        var now = Instant(offset: .zero)
        var sleeps: [Duration] = []
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0

        var sleepers: Int {
            waiters.values.count { if case .sleeping = $0 { true } else { false } }
        }

        mutating func takeReady() -> [CheckedContinuation<Void, any Error>] {
            var ready: [CheckedContinuation<Void, any Error>] = []
            let sleepers = sleepers
            for (id, waiter) in waiters {
                switch waiter {
                case .sleeping(let deadline, let continuation) where deadline <= now: ready.append(continuation)
                case .counting(let count, let continuation) where sleepers >= count: ready.append(continuation)
                default: continue
                }
                waiters[id] = nil
            }
            return ready
        }
    }

    private let state = Mutex(State())
    private let advancesItself: Bool

    /// - Parameter advancesItself: every sleep moves the clock to its end and returns at once.
    public init(advancesItself: Bool = false) {
        self.advancesItself = advancesItself
    }

    public var now: Instant { state.withLock { $0.now } }
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// How long each sleep was to last, in the order in which they began.
    public var sleeps: [Duration] { state.withLock { $0.sleeps } }

    public func advance(by duration: Duration) {
        let ready = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            return state.takeReady()
        }
        for continuation in ready { continuation.resume() }
    }

    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        let isOver = state.withLock { state in
            state.sleeps.append(state.now.duration(to: deadline))
            if advancesItself { state.now = max(state.now, deadline) }
            return state.now >= deadline
        }
        if isOver {
            // As a real sleep does; else a loop over sleeps would never let others run.
            await Task.yield()
            return
        }
        try await wait { .sleeping(until: deadline, $0) }
    }

    /// Waits until `count` tasks sleep on this clock.
    public func waitForSleepers(_ count: Int) async throws {
        try await wait { .counting(count, $0) }
    }

    private func wait(_ makeWaiter: (CheckedContinuation<Void, any Error>) -> Waiter) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready = state.withLock { state in
                    // Seen here, or the handler finds the waiter.
                    if Task.isCancelled { return nil as [CheckedContinuation<Void, any Error>]? }
                    state.waiters[id] = makeWaiter(continuation)
                    return state.takeReady()
                }
                guard let ready else {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                for waiter in ready { waiter.resume() }
            }
        } onCancel: {
            switch state.withLock({ $0.waiters.removeValue(forKey: id) }) {
            case .sleeping(_, let continuation), .counting(_, let continuation):
                continuation.resume(throwing: CancellationError())
            case nil:
                break
            }
        }
    }
}
