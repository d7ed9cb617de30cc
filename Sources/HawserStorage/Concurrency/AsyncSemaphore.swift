import Synchronization

/// A counting semaphore for tasks: first come, first served, and a cancelled task stops waiting at once.
package final class AsyncSemaphore: Sendable {
    private struct State {
        var queue: ReservationQueue<CheckedContinuation<Void, any Error>>
        var nextID: UInt64 = 0
    }

    private let state: Mutex<State>

    package let total: Int

    /// - Precondition: `total` is above 0.
    package init(total: Int) {
        self.total = total
        state = Mutex(State(queue: ReservationQueue(total: total)))
    }

    package var used: Int { state.withLock { $0.queue.used } }

    package var waitingCount: Int { state.withLock { $0.queue.waitingCount } }

    /// Throws only `CancellationError`, and then holds nothing.
    /// - Precondition: `amount` is 0...`total`.
    package func take(_ amount: Int = 1) async throws {
        try Task.checkCancellation()
        let id: UInt64? = state.withLock { state in
            if state.queue.take(amount) { return nil }
            state.nextID += 1
            return state.nextID
        }
        guard let id else { return }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enum Outcome { case taken, cancelled, waits }
                let outcome = state.withLock { state -> Outcome in
                    // The flag is set before the handler below runs, so either it is seen here or the handler finds
                    // the waiter.
                    if Task.isCancelled { return .cancelled }
                    if state.queue.take(amount) { return .taken }
                    state.queue.wait(id: id, amount: amount, continuation)
                    return .waits
                }
                switch outcome {
                case .taken: continuation.resume()
                case .cancelled: continuation.resume(throwing: CancellationError())
                case .waits: break
                }
            }
        } onCancel: {
            guard let (cancelled, granted) = state.withLock({ $0.queue.cancel(id: id) }) else { return }
            cancelled.resume(throwing: CancellationError())
            for continuation in granted { continuation.resume() }
        }
    }

    /// - Precondition: that much is taken.
    package func give(_ amount: Int = 1) {
        let granted = state.withLock { $0.queue.give(amount) }
        for continuation in granted { continuation.resume() }
    }

    package func withTaken<Result>(
        _ amount: Int = 1,
        _ body: () async throws -> Result
    ) async throws -> Result {
        try await take(amount)
        defer { give(amount) }
        return try await body()
    }
}
