import HawserNetwork
import Synchronization

/// Bounds requests per second for each of many keys: addresses, tenants.
///
/// The generic cell rate algorithm: of each key only the time is kept at which its next request would be on time, so an idle
/// key costs nothing once that time has passed.
final class RateLimiter<Key: Hashable & Sendable>: Sendable {
    private struct State {
        var onTime: [Key: ContinuousClock.Instant] = [:]
        var nextSweep = 1024
    }

    private let interval: Duration
    private let tolerance: Duration
    private let state = Mutex(State())

    init(_ rate: ServerLimits.Rate) {
        interval = .seconds(1 / max(rate.perSecond, 0.001))
        tolerance = interval * max(rate.burst - 1, 0)
    }

    /// - Returns: `nil` when the request may go on, else how long to wait.
    func take(_ key: Key, now: ContinuousClock.Instant = .now) -> Duration? {
        state.withLock { state in
            let onTime = max(state.onTime[key] ?? now, now)
            let early = now.duration(to: onTime)
            guard early <= tolerance else { return early - tolerance }
            state.onTime[key] = onTime + interval
            if state.onTime.count >= state.nextSweep {
                state.onTime = state.onTime.filter { $0.value > now }
                // Twice what is in use, so that the sweep costs little for each request.
                state.nextSweep = max(1024, state.onTime.count * 2)
            }
            return nil
        }
    }

    /// What a request costs beyond the one that it is: those that come later wait for it.
    func charge(_ key: Key, _ requests: Double, now: ContinuousClock.Instant = .now) {
        state.withLock { $0.onTime[key] = max($0.onTime[key] ?? now, now) + interval * requests }
    }
}
