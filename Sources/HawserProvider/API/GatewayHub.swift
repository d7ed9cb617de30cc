import HawserControl
import HawserFormat
import NIOCore
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The gateway servers and cloud gateways that are connected, and the movers that each gateway server shall run. In memory:
/// after a restart of this server gateway servers sign in anew, and tenants ask for new grants.
final class GatewayHub: Sendable {
    /// A mover that was started.
    struct Running: Sendable {
        fileprivate(set) var mover: Mover
        let gateway: ControlID
        let target: LedgerTarget
        let folder: ControlID
        /// As it was told last.
        fileprivate var usage = MoverUsage()
        fileprivate let ready: AsyncStream<Void>.Continuation
    }

    /// What gateways hear of each other.
    struct Directory: Equatable {
        /// Addresses of cloud gateways.
        var gateways: [String]
        /// Gateway servers; only cloud gateways hear of them.
        var routes: [GatewayServerRoute]
    }

    private struct Feed {
        let channel: any Channel
        let events: AsyncStream<MoverEvent>.Continuation
        let number: Int
        let isRelay: Bool
        var told: Directory

        func send(_ event: MoverEvent) {
            if case .dropped = events.yield(event) { end() }
        }

        func end() {
            events.finish()
            // On its own thread, since its end is noted here.
            channel.eventLoop.execute { [channel] in channel.close(promise: nil) }
        }
    }

    private struct State {
        /// Hashes of tokens, of each gateway server the newest last.
        var tokens: [ControlID: [Data]] = [:]
        var gateways: [Data: ControlID] = [:]
        var feeds: [ControlID: Feed] = [:]
        /// Connections that cloud gateways have.
        var loads: [ControlID: Int] = [:]
        private(set) var running: [ControlID: Running] = [:]
        private var ofTenant: [ControlID: Set<ControlID>] = [:]
        /// Movers that were stopped can still settle their leases.
        var stopped: [ControlID: Running] = [:]
        var stoppedOrder: [ControlID] = []
        var ticks = 0
        var feedCount = 0
        var isStopping = false

        func running(of tenant: ControlID) -> [Running] { ofTenant[tenant, default: []].compactMap { running[$0] } }

        func hasMovers(of tenant: ControlID) -> Bool { ofTenant[tenant] != nil }

        /// A new one, or one that is changed.
        mutating func set(_ one: Running) {
            running[one.mover.id] = one
            ofTenant[one.mover.tenant, default: []].insert(one.mover.id)
        }

        /// Who waits for its start waits no more.
        mutating func remove(_ one: Running) {
            running[one.mover.id] = nil
            ofTenant[one.mover.tenant]?.remove(one.mover.id)
            if ofTenant[one.mover.tenant]?.isEmpty == true { ofTenant[one.mover.tenant] = nil }
            one.ready.finish()
        }
    }

    // A gateway server signs in again when its answer was lost.
    private static let mostTokens = 4
    // What is behind by more than that is cut: it gets everything anew when it comes back.
    private static let mostEvents = 4096
    private static let mostStopped = 10_000
    /// In seconds.
    private static let heartbeat = 20
    // From the order to the mover's first request. A gateway server on the same network needs milliseconds.
    private static let patience = Duration.seconds(10)

    private let state = Mutex(State())

    // MARK: Sign-in

    func addToken(_ hash: Data, of gateway: ControlID) {
        state.withLock { state in
            state.gateways[hash] = gateway
            state.tokens[gateway, default: []].append(hash)
            if let count = state.tokens[gateway]?.count, count > Self.mostTokens {
                state.tokens[gateway]?.removeFirst(count - Self.mostTokens)
            }
            let known = Set(state.tokens.values.joined())
            state.gateways = state.gateways.filter { known.contains($0.key) }
        }
    }

    func gateway(token hash: Data) -> ControlID? { state.withLock { $0.gateways[hash] } }

    func isConnected(_ gateway: ControlID) -> Bool { state.withLock { $0.feeds[gateway] != nil } }

    /// Gateway servers that were removed, or registered with another key, are cut at once.
    func keep(_ allowed: Set<ControlID>) {
        let cut = state.withLock { state in
            let removed = state.tokens.keys.filter { !allowed.contains($0) }
            for gateway in removed {
                for hash in state.tokens.removeValue(forKey: gateway) ?? [] { state.gateways[hash] = nil }
                for running in state.running.values where running.gateway == gateway { state.remove(running) }
                state.loads[gateway] = nil
            }
            return removed.compactMap { state.feeds.removeValue(forKey: $0) }
        }
        for feed in cut { feed.end() }
    }

    // MARK: Streams

    /// The gateway server's events, from the list of all its movers on. A newer stream ends the older.
    func open(
        _ gateway: ControlID,
        channel: any Channel,
        isRelay: Bool,
        _ directory: Directory
    ) -> (number: Int, events: AsyncStream<MoverEvent>) {
        let (events, continuation) = AsyncStream.makeStream(
            of: MoverEvent.self,
            bufferingPolicy: .bufferingOldest(Self.mostEvents)
        )
        let (older, number) = state.withLock { state in
            state.feedCount += 1
            let feed = Feed(
                channel: channel,
                events: continuation,
                number: state.feedCount,
                isRelay: isRelay,
                told: directory
            )
            let movers = state.running.values.filter { $0.gateway == gateway }.map(\.mover)
            continuation.yield(.movers(movers))
            continuation.yield(.gateways(directory.gateways))
            if isRelay { continuation.yield(.routes(directory.routes)) }
            if state.isStopping { continuation.yield(.reconnect(after: 1)) }
            return (state.feeds.updateValue(feed, forKey: gateway), state.feedCount)
        }
        older?.end()
        // Seen at once, not at the next heartbeat.
        channel.closeFuture.whenComplete { [weak self] _ in self?.close(gateway, number: number) }
        return (number, events)
    }

    func close(_ gateway: ControlID, number: Int) {
        let feed = state.withLock { state in
            guard state.feeds[gateway]?.number == number else { return nil as Feed? }
            state.loads[gateway] = nil
            return state.feeds.removeValue(forKey: gateway)
        }
        feed?.events.finish()
    }

    /// To be called each second.
    func tick() {
        let feeds = state.withLock { state -> [Feed] in
            state.ticks += 1
            return state.ticks % Self.heartbeat == 0 ? Array(state.feeds.values) : []
        }
        for feed in feeds { feed.send(.heartbeat) }
    }

    /// Ends all streams, and those that come yet.
    func stop() {
        let feeds = state.withLock { state in
            state.isStopping = true
            return Array(state.feeds.values)
        }
        for feed in feeds { feed.send(.reconnect(after: 1)) }
    }

    func tell(_ directory: Directory) {
        state.withLock { state in
            for (gateway, feed) in state.feeds where feed.told != directory {
                state.feeds[gateway]?.told = directory
                if feed.told.gateways != directory.gateways { feed.send(.gateways(directory.gateways)) }
                if feed.isRelay, feed.told.routes != directory.routes { feed.send(.routes(directory.routes)) }
            }
        }
    }

    // MARK: Cloud gateways

    // No relay holds more, and whatever one says, sums stay far from overflowing.
    private static let largestLoad = 1_000_000

    func setLoad(_ connections: Int, of gateway: ControlID) {
        state.withLock { state in
            guard state.feeds[gateway]?.isRelay == true else { return }
            state.loads[gateway] = min(max(0, connections), Self.largestLoad)
        }
    }

    /// In an order in which those with fewer connections come first more often: by chance, so that not all of those who
    /// sign in between two reports go to the same, nor all to one that says it has nothing to do. One that reports nothing
    /// counts as the mean of the others.
    func spread(
        _ relays: [GatewayRecord],
        random: () -> Double = { .random(in: 0..<1) }
    ) -> [GatewayRecord] {
        let loads = state.withLock { $0.loads }
        let known = relays.compactMap { loads[$0.id] }
        let mean = known.isEmpty ? 0 : known.reduce(0, +) / known.count
        // An idle one is taken five times as often as one with the mean.
        var rest = relays.map { ($0, weight: 1 / Double(1 + mean / 4 + (loads[$0.id] ?? mean))) }
        return relays.map { _ in
            var place = random() * rest.reduce(0) { $0 + $1.weight }
            let index = rest.firstIndex { relay in
                place -= relay.weight
                return place < 0
            }
            return rest.remove(at: index ?? rest.count - 1).0
        }
    }

    // MARK: Movers

    /// Has a gateway server run a mover, in place of one that it runs for the same session, repository and purpose.
    ///
    /// - Returns: whether it runs; `false` when the gateway server is not connected or does not do it in time.
    func start(_ mover: Mover, on gateway: ControlID, target: LedgerTarget, folder: ControlID) async -> Bool {
        let (ready, continuation) = AsyncStream.makeStream(of: Void.self)
        let running = Running(mover: mover, gateway: gateway, target: target, folder: folder, ready: continuation)
        let isOrdered = state.withLock { state in
            guard let feed = state.feeds[gateway] else { return false }
            let replaced = state.running(of: mover.tenant).filter {
                $0.mover.session == mover.session && $0.mover.repository == mover.repository
                    && $0.mover.purpose == mover.purpose
            }
            state.set(running)
            // Before the others stop: the gateway server keeps what the tenant's rate is behind as long as a mover runs.
            feed.send(.start(mover))
            for old in replaced { Self.stop(old, &state) }
            return true
        }
        guard isOrdered else { return false }
        let isReady = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in ready { return true }
                return false
            }
            group.addTask {
                try? await Task.sleep(for: Self.patience)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        if !isReady { stop { $0.mover.id == mover.id } }
        return isReady
    }

    /// The gateway server has asked for the mover's storage.
    func isReady(_ mover: ControlID) {
        let running = state.withLock { $0.running[mover] }
        running?.ready.yield()
        running?.ready.finish()
    }

    func running(_ mover: ControlID, on gateway: ControlID) -> Running? {
        state.withLock { $0.running[mover].flatMap { $0.gateway == gateway ? $0 : nil } }
    }

    /// Also one that was stopped.
    func known(_ mover: ControlID, on gateway: ControlID) -> Running? {
        state.withLock { state in
            (state.running[mover] ?? state.stopped[mover]).flatMap { $0.gateway == gateway ? $0 : nil }
        }
    }

    /// - Returns: what is new, and the folder in which it was done; `nil` for a mover that is not known.
    func note(_ usage: MoverUsage, of mover: ControlID, on gateway: ControlID) -> (ControlID, MoverUsage)? {
        state.withLock { state in
            let isRunning = state.running[mover] != nil
            guard var known = state.running[mover] ?? state.stopped[mover], known.gateway == gateway else { return nil }
            let new = MoverUsage(
                requests: max(0, usage.requests - known.usage.requests),
                egress: max(0, usage.egress - known.usage.egress)
            )
            known.usage = usage
            if isRunning { state.set(known) } else { state.stopped[mover] = known }
            return (known.folder, new)
        }
    }

    func stop(where isMeant: (Running) -> Bool) {
        state.withLock { state in
            for running in state.running.values where isMeant(running) { Self.stop(running, &state) }
        }
    }

    /// Tells gateway servers of another rate of the tenant.
    func setBandwidth(_ bandwidth: Int?, of tenant: ControlID) {
        state.withLock { state in
            for var running in state.running(of: tenant) where running.mover.bandwidth != bandwidth {
                running.mover.bandwidth = bandwidth
                state.set(running)
                state.feeds[running.gateway]?.send(.start(running.mover))
            }
        }
    }

    func hasMovers(of tenant: ControlID) -> Bool {
        state.withLock { $0.hasMovers(of: tenant) }
    }

    func returnUnused(repository: ControlID, tenant: ControlID) {
        state.withLock { state in
            for running in state.running(of: tenant) where running.mover.repository == repository {
                state.feeds[running.gateway]?.send(.returnUnused(running.mover.id))
            }
        }
    }

    private static func stop(_ running: Running, _ state: inout State) {
        let id = running.mover.id
        state.remove(running)
        state.stopped[id] = running
        state.stoppedOrder.append(id)
        if state.stoppedOrder.count > mostStopped { state.stopped[state.stoppedOrder.removeFirst()] = nil }
        state.feeds[running.gateway]?.send(.stop(id))
    }
}
