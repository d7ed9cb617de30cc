import HawserControl
import HawserFormat
import HawserStorage
import Logging
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The movers that run here, as the provider's server says.
final class Movers: Sendable {
    private struct State {
        var movers: [ControlID: TargetMover] = [:]
        var byToken: [Data: TargetMover] = [:]
        var throttles: [ControlID: Throttle] = [:]
    }

    private let link: ProviderLink
    private let clients: StorageClients
    private let logger: Logger
    private let state = Mutex(State())
    /// Those that were stopped, and have still to give back and to tell.
    private let (stopped, leaving) = AsyncStream.makeStream(of: TargetMover.self)

    init(_ link: ProviderLink, _ clients: StorageClients, _ logger: Logger) {
        self.link = link
        self.clients = clients
        self.logger = logger
    }

    var count: Int { state.withLock { $0.movers.count } }

    func mover(token hash: Data) -> TargetMover? { state.withLock { $0.byToken[hash] } }

    func apply(_ event: MoverEvent) async {
        switch event {
        case .movers(let orders):
            let kept = Set(orders.map(\.id))
            stop { !kept.contains($0) }
            for order in orders { start(order) }
        case .start(let order): start(order)
        case .stop(let id): stop { $0 == id }
        case .returnUnused(let id): await state.withLock { $0.movers[id] }?.blocks.giveBack()
        case .routes, .gateways, .heartbeat, .reconnect, .unknown: break
        }
    }

    /// Settles leases that end soon, and tells what was done.
    func tend() async {
        for mover in state.withLock({ Array($0.movers.values) }) {
            await mover.blocks.giveBack(onlyEnding: true)
            await mover.tellUsage()
        }
    }

    /// No mover runs after that, and ``settle()`` comes to its end.
    func stopAll() {
        stop { _ in true }
        leaving.finish()
    }

    /// Gives back what stopped movers have left, beside the orders for others: until ``stopAll()``.
    func settle() async {
        await withDiscardingTaskGroup { group in
            for await mover in stopped {
                group.addTask {
                    await mover.blocks.giveBack()
                    await mover.tellUsage()
                }
            }
        }
    }

    private func start(_ order: Mover) {
        let isNew = state.withLock { state in
            // At a rate of 0 nothing would ever pass.
            let rate = order.bandwidth.map { max(1, $0) }
            let throttle = state.throttles[order.tenant] ?? Throttle(rate: rate)
            throttle.setRate(rate)
            state.throttles[order.tenant] = throttle
            guard state.movers[order.id] == nil else { return false }
            let mover = TargetMover(order, link, clients, throttle, logger)
            state.movers[order.id] = mover
            state.byToken[order.token] = mover
            return true
        }
        guard isNew else { return }
        logger.info(
            "Mover started",
            metadata: ["mover": "\(order.id)", "session": "\(order.session)", "purpose": "\(order.purpose)"]
        )
    }

    private func stop(where isMeant: (ControlID) -> Bool) {
        let stopped = state.withLock { state in
            let stopped = state.movers.values.filter { isMeant($0.order.id) }
            for mover in stopped {
                state.movers[mover.order.id] = nil
                state.byToken[mover.order.token] = nil
            }
            let tenants = Set(state.movers.values.map(\.order.tenant))
            state.throttles = state.throttles.filter { tenants.contains($0.key) }
            return stopped
        }
        for mover in stopped {
            mover.stop()
            leaving.yield(mover)
            logger.info("Mover stopped", metadata: ["mover": "\(mover.order.id)", "session": "\(mover.order.session)"])
        }
    }
}
