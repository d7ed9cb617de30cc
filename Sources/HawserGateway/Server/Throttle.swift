import HawserStorage
import Synchronization

/// Bounds the rate of one tenant's bytes, all movers together.
final class Throttle: Sendable {
    private let bucket: Mutex<TokenBucket>
    private let stopwatch = Stopwatch(ContinuousClock())

    init(rate: Int?) {
        bucket = Mutex(TokenBucket(rate: rate, now: .zero))
    }

    func setRate(_ rate: Int?) {
        let now = stopwatch.elapsed()
        bucket.withLock { $0.setRate(rate, now: now) }
    }

    /// Returns when so many bytes may go on.
    func pass(_ bytes: Int) async throws {
        let now = stopwatch.elapsed()
        let ticket = bucket.withLock { $0.charge(bytes, now: now) }
        while true {
            let now = stopwatch.elapsed()
            guard let wait = bucket.withLock({ $0.delay(ticket, now: now) }) else { return }
            try await stopwatch.sleep(wait)
        }
    }
}
