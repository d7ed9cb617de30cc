import Synchronization

/// A door that tasks wait at until a test opens it.
public final class Gate: Sendable {
    private enum Waiter {
        case passing(CheckedContinuation<Void, any Error>)
        /// Waits until that many have arrived.
        case counting(Int, CheckedContinuation<Void, any Error>)
    }

    private struct State {
        var isOpen = false
        var arrivals = 0
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0

        /// Those that have nothing to wait for any more.
        mutating func takeReady() -> [CheckedContinuation<Void, any Error>] {
            var ready: [CheckedContinuation<Void, any Error>] = []
            for (id, waiter) in waiters {
                switch waiter {
                case .passing(let continuation) where isOpen: ready.append(continuation)
                case .counting(let count, let continuation) where arrivals >= count: ready.append(continuation)
                default: continue
                }
                waiters[id] = nil
            }
            return ready
        }
    }

    private let state = Mutex(State())

    public init() {}

    /// How many tasks have come to the gate, cancelled ones and those that went through included.
    public var arrivals: Int { state.withLock { $0.arrivals } }

    /// Lets everybody pass, now and later.
    public func open() {
        let ready = state.withLock { state in
            state.isOpen = true
            return state.takeReady()
        }
        for continuation in ready { continuation.resume() }
    }

    /// Waits until the gate is open; throws `CancellationError` when the task is cancelled.
    public func pass() async throws {
        try await wait(isArrival: true) { .passing($0) }
    }

    /// Waits until `count` tasks have come to the gate.
    public func waitForArrivals(_ count: Int) async throws {
        try await wait(isArrival: false) { .counting(count, $0) }
    }

    private func wait(
        isArrival: Bool,
        _ makeWaiter: (CheckedContinuation<Void, any Error>) -> Waiter
    ) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (ready, isCancelled) = state.withLock { state in
                    if isArrival { state.arrivals += 1 }
                    // Seen here, or the handler finds the waiter.
                    let isCancelled = Task.isCancelled
                    if !isCancelled { state.waiters[id] = makeWaiter(continuation) }
                    return (state.takeReady(), isCancelled)
                }
                for waiter in ready { waiter.resume() }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            switch state.withLock({ $0.waiters.removeValue(forKey: id) }) {
            case .passing(let continuation), .counting(_, let continuation):
                continuation.resume(throwing: CancellationError())
            case nil:
                break
            }
        }
    }
}
