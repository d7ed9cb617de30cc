import HawserControl
import HawserFormat
import HawserNetwork
import NIOCore
import Synchronization

/// All open event streams, and what is spread to them.
final class EventHub: Sendable {
    private struct State {
        var feeds: [ControlID: EventFeed] = [:]
        var byTenant: [ControlID: Set<ControlID>] = [:]
        var isStopping = false
    }

    private let limits: ServerLimits
    private let state = Mutex(State())

    init(_ limits: ServerLimits) {
        self.limits = limits
    }

    var count: Int { state.withLock { $0.feeds.count } }

    /// A session has one stream: a newer one ends the older, whose client is gone or confused.
    func open(_ session: SessionRecord, channel: any Channel) -> EventFeed {
        let feed = EventFeed(
            session: session.id,
            tenant: session.tenant,
            subtenant: session.subtenant,
            channel: channel
        )
        let (older, isStopping) = state.withLock { state in
            let older = state.feeds.updateValue(feed, forKey: feed.session)
            state.byTenant[feed.tenant, default: []].insert(feed.session)
            return (older, state.isStopping)
        }
        older?.close()
        older?.channel.close(promise: nil)
        if isStopping { feed.end(reconnect(of: count)) }
        // Seen at once, not at the next heartbeat.
        channel.closeFuture.whenComplete { _ in feed.close() }
        return feed
    }

    func remove(_ feed: EventFeed) {
        feed.close()
        state.withLock { state in
            guard state.feeds[feed.session] === feed else { return }
            state.feeds[feed.session] = nil
            state.byTenant[feed.tenant]?.remove(feed.session)
            if state.byTenant[feed.tenant]?.isEmpty == true { state.byTenant[feed.tenant] = nil }
        }
    }

    func spread(_ change: ProviderChange) {
        switch change {
        case .general:
            for feed in all { feed.stateChanged() }
        case .tenant(let tenant):
            for feed in feeds(of: tenant) { feed.stateChanged() }
        case .sessionEnded(let session, _, let problem):
            state.withLock { $0.feeds[session] }?.end(.revoked(problem))
        case .returnUnused(let repository, let tenant):
            for feed in feeds(of: tenant) { feed.add(.returnUnused(repository: repository)) }
        case .credentials(let repository, let tenant, let subtenant, let generation):
            // Each folder counts for itself.
            for feed in feeds(of: tenant) where feed.subtenant == subtenant {
                feed.add(.credentialsReady(repository: repository, generation: generation))
            }
        }
    }

    /// To be called each second: heartbeats, and the end of readers that take nothing.
    func tick(now: ContinuousClock.Instant = .now) {
        for feed in all where !feed.tick(heartbeat: limits.heartbeat, stalled: limits.stalled, now: now) {
            feed.close()
            feed.channel.close(promise: nil)
        }
    }

    /// Ends all streams, and those that come yet.
    func stop() {
        let feeds = state.withLock { state in
            state.isStopping = true
            return Array(state.feeds.values)
        }
        for feed in feeds { feed.end(reconnect(of: feeds.count)) }
    }

    /// Another moment for each, so that they don't all come back at once, and not before the stop is over: who finds the
    /// door closed comes back much later. Measured: under load a stop with 10,000 streams takes 5 to 7 s.
    private func reconnect(of count: Int) -> SessionEvent {
        let stop = Double(count) / 1_500
        return .reconnect(after: stop + Double.random(in: 0...min(limits.reconnectSpread / .seconds(1), 1 + stop)))
    }

    private var all: [EventFeed] { state.withLock { Array($0.feeds.values) } }

    private func feeds(of tenant: ControlID) -> [EventFeed] {
        state.withLock { state in (state.byTenant[tenant] ?? []).compactMap { state.feeds[$0] } }
    }
}
