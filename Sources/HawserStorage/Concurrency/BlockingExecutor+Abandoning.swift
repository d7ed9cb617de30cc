import Synchronization

extension BlockingExecutor {
    /// Runs `body`, which may block, on one of the threads; a cancelled caller does not wait for it.
    ///
    /// On cancellation the caller gets `CancellationError` at once. A body that has not begun is dropped; one that has
    /// (say, in a read from a file server that is gone) ends alone, its result is discarded, and until then its thread
    /// serves nobody else. So `body` may only touch what it owns, and should ask `abandonment` between its steps.
    public func runAbandonable<Result: Sendable>(
        _ body: @escaping @Sendable (Abandonment) throws -> Result
    ) async throws -> Result {
        let call = AbandonableCall<Result>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard call.begin(continuation) else {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                submit {
                    let abandonment = Abandonment { call.isAbandoned }
                    if abandonment.isRequested { return }
                    call.finish(Swift.Result { try body(abandonment) })
                }
            }
        } onCancel: {
            call.abandon()
        }
    }
}

/// Tells a blocking call whether anybody still waits for it.
public struct Abandonment: Sendable {
    private let flag: @Sendable () -> Bool

    init(_ flag: @escaping @Sendable () -> Bool) {
        self.flag = flag
    }

    public var isRequested: Bool { flag() }

    /// Throws `CancellationError` when nobody waits any more.
    public func check() throws {
        if isRequested { throw CancellationError() }
    }
}

private final class AbandonableCall<Result: Sendable>: Sendable {
    private enum State {
        /// Can transition to: waiting, abandoned.
        case idle
        /// Can transition to: finished, abandoned.
        case waiting(CheckedContinuation<Result, any Error>)
        case finished
        case abandoned
    }

    private let state = Mutex(State.idle)

    var isAbandoned: Bool {
        state.withLock { if case .abandoned = $0 { true } else { false } }
    }

    /// `false` when it was abandoned before.
    func begin(_ continuation: CheckedContinuation<Result, any Error>) -> Bool {
        state.withLock { state in
            guard case .idle = state else { return false }
            state = .waiting(continuation)
            return true
        }
    }

    func finish(_ result: sending Swift.Result<Result, any Error>) {
        end(as: .finished)?.resume(with: result)
    }

    func abandon() {
        end(as: .abandoned)?.resume(throwing: CancellationError())
    }

    private func end(as final: State) -> CheckedContinuation<Result, any Error>? {
        state.withLock { state in
            switch state {
            case .idle:
                state = final
                return nil
            case .waiting(let continuation):
                state = final
                return continuation
            case .finished, .abandoned:
                return nil
            }
        }
    }
}
