import HawserFormat
import Synchronization

/// Gives a request up when nothing has moved for too long.
///
/// The request notes each step; a task beside it looks when the time since the last one may be over. So a connection
/// that is slow but moves is never cut, in neither direction.
package struct ProgressWatch: Sendable {
    fileprivate final class Steps: Sendable {
        let last: Mutex<Duration>

        init(_ now: Duration) {
            last = Mutex(now)
        }
    }

    /// Tells the watch that bytes have moved.
    package struct Note: Sendable {
        private let steps: Steps
        private let stopwatch: Stopwatch

        fileprivate init(_ steps: Steps, _ stopwatch: Stopwatch) {
            self.steps = steps
            self.stopwatch = stopwatch
        }

        package func callAsFunction() {
            let now = stopwatch.elapsed()
            steps.last.withLock { $0 = now }
        }
    }

    private let limit: Duration
    private let stopwatch: Stopwatch

    /// - Parameter limit: how long nothing may move.
    package init(limit: Duration, clock: any Clock<Duration>) {
        self.limit = limit
        stopwatch = Stopwatch(clock)
    }

    /// Runs `body`; throws `unavailable` in its place, and cancels it, when it notes nothing for the time of the limit.
    package func run<Result: Sendable>(
        _ body: @escaping @Sendable (Note) async throws -> Result
    ) async throws -> Result {
        let steps = Steps(stopwatch.elapsed())
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body(Note(steps, stopwatch)) }
            group.addTask {
                try await waitForStandstill(steps)
                return nil
            }
            defer { group.cancelAll() }
            if let result = try await group.next() ?? nil { return result }
            throw HawserError(
                .unavailable,
                "The other side has not moved a byte for \(limit.components.seconds) s.",
                isRetryable: true
            )
        }
    }

    private func waitForStandstill(_ steps: Steps) async throws {
        while true {
            let rest = steps.last.withLock { $0 } + limit - stopwatch.elapsed()
            if rest <= .zero { return }
            try await stopwatch.sleep(rest)
        }
    }
}
