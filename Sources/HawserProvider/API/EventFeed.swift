import HawserControl
import NIOCore
import Synchronization

/// What waits to be written on one event stream. Nothing piles up: changes of the state become one line with the state of
/// the moment it is written, and orders are kept once each.
final class EventFeed: Sendable {
    enum Line: Equatable {
        /// To be read when it is written.
        case state
        case event(SessionEvent)
        /// The stream ends after this.
        case last(SessionEvent)
    }

    private struct State {
        var isStateDue = true
        var orders: [SessionEvent] = []
        var isHeartbeatDue = false
        var last: SessionEvent?
        var lastWrite: ContinuousClock.Instant
        /// Since when a write has not returned.
        var writingSince: ContinuousClock.Instant?
        var isClosed = false
    }

    // Of orders: one of each kind for each repository of a tenant, so this is reached by mistake only.
    private static let mostOrders = 256

    let session: ControlID
    let tenant: ControlID
    /// Into whose folder the session looks; `nil`: the tenant's own.
    let subtenant: ControlID?
    let channel: any Channel
    /// Yields when there is something to take.
    let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation
    private let state: Mutex<State>

    init(
        session: ControlID,
        tenant: ControlID,
        subtenant: ControlID? = nil,
        channel: any Channel,
        now: ContinuousClock.Instant = .now
    ) {
        self.session = session
        self.tenant = tenant
        self.subtenant = subtenant
        self.channel = channel
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        state = Mutex(State(lastWrite: now))
        signal.yield()
    }

    func stateChanged() {
        state.withLock { $0.isStateDue = true }
        signal.yield()
    }

    func add(_ order: SessionEvent) {
        state.withLock { state in
            guard !state.orders.contains(order) else { return }
            if state.orders.count == Self.mostOrders { state.orders.removeFirst() }
            state.orders.append(order)
        }
        signal.yield()
    }

    /// The first end counts.
    func end(_ last: SessionEvent) {
        state.withLock { $0.last = $0.last ?? last }
        signal.yield()
    }

    /// The connection is gone, or another stream has taken this one's place: nothing more is written.
    func close() {
        state.withLock { $0.isClosed = true }
        signal.finish()
    }

    /// What is to be written now, in order; `nil` when the stream is over.
    func take() -> [Line]? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            if let last = state.last { return [.last(last)] }
            var lines: [Line] = state.isStateDue ? [.state] : []
            lines += state.orders.map(Line.event)
            if lines.isEmpty, state.isHeartbeatDue { lines = [.event(.heartbeat)] }
            (state.isStateDue, state.orders, state.isHeartbeatDue) = (false, [], false)
            return lines
        }
    }

    func beginWrite(now: ContinuousClock.Instant = .now) {
        state.withLock { $0.writingSince = now }
    }

    func endWrite(now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            state.writingSince = nil
            state.lastWrite = now
        }
    }

    /// Makes a heartbeat due when nothing was written for so long.
    ///
    /// - Returns: `false` when the reader has taken nothing for longer than `stalled`.
    func tick(heartbeat: Duration, stalled: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        let (isAlive, isDue) = state.withLock { state in
            if let since = state.writingSince { return (since.duration(to: now) < stalled, false) }
            guard state.lastWrite.duration(to: now) >= heartbeat, !state.isHeartbeatDue else { return (true, false) }
            state.isHeartbeatDue = true
            return (true, true)
        }
        if isDue { signal.yield() }
        return isAlive
    }
}
