import Synchronization

/// Bounds the rate of bytes: one direction of a `ThrottledStore`, or all that a gateway server passes on for one tenant.
package final class Throttle: Sendable {
    // A pause is cut into pieces of this length, so that a new limit takes effect soon.
    private static let longestPause = Duration.milliseconds(250)

    private let stopwatch: Stopwatch
    private let bucket: Mutex<TokenBucket>

    package init(rate: Int?, clock: any Clock<Duration> = ContinuousClock()) {
        stopwatch = Stopwatch(clock)
        bucket = Mutex(TokenBucket(rate: rate, now: .zero))
    }

    var rate: Int? { bucket.withLock { $0.rate } }

    package func setRate(_ rate: Int?) {
        let now = stopwatch.elapsed()
        bucket.withLock { $0.setRate(rate, now: now) }
    }

    @discardableResult
    func charge(_ bytes: Int) -> TokenBucket.Ticket {
        let now = stopwatch.elapsed()
        return bucket.withLock { $0.charge(bytes, now: now) }
    }

    /// Charges the bytes and returns when a request for them may begin.
    ///
    /// - Parameter refresh: called before each look at the rate; what it throws ends the waiting.
    package func admit(_ bytes: Int, _ refresh: () throws -> Void) async throws {
        try refresh()
        let ticket = charge(bytes)
        while let delay = delay(ticket) {
            do {
                try await stopwatch.sleep(min(delay, Self.longestPause))
                try refresh()
            } catch {
                refund(bytes)
                throw error
            }
        }
    }

    func refund(_ bytes: Int) {
        bucket.withLock { $0.refund(bytes) }
    }

    private func delay(_ ticket: TokenBucket.Ticket) -> Duration? {
        let now = stopwatch.elapsed()
        return bucket.withLock { $0.delay(ticket, now: now) }
    }
}
