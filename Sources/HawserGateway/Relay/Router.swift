import NIOConcurrencyHelpers
import NIOCore

/// The routes in force and the health of their backends, for all event loops: a lock that is held for a look-up and a few
/// additions, twice for each connection.
final class Router: Sendable {
    struct Choice: Sendable {
        var address: BackendAddress
        var sendsProxyHeader: Bool
    }

    enum Answer: Sendable {
        case backend(Choice)
        case unknownName
        case noneLeft
    }

    private struct State {
        var routes: RelayRoutes
        var backends: Backends
        var generator = SystemRandomNumberGenerator()
    }

    private let state: NIOLockedValueBox<State>
    private let metrics: RelayMetrics
    private let log: RelayLog

    init(_ routes: RelayRoutes, metrics: RelayMetrics, log: RelayLog) {
        state = NIOLockedValueBox(State(routes: routes, backends: Backends(routes.backends)))
        self.metrics = metrics
        self.log = log
        metrics.show(routes.backends)
    }

    /// New connections go by these; those that are relayed stay.
    func replace(with routes: RelayRoutes) {
        state.withLockedValue { state in
            state.routes = routes
            state.backends.replace(with: routes.backends)
            metrics.show(routes.backends)
            for (address, health) in state.backends.health { metrics.set(health, of: address) }
        }
    }

    /// A backend for a connection; `tried` are those that this connection could not reach.
    func pick(_ name: ServerName, tried: [BackendAddress], now: NIODeadline) -> Answer {
        state.withLockedValue { state in
            guard let route = state.routes.route(for: name) else { return .unknownName }
            let choice = state.backends.pick(
                from: route.backends,
                tried: tried,
                now: now,
                using: &state.generator
            )
            guard let choice else { return .noneLeft }
            metrics.set(state.backends.health[choice], of: choice)
            return .backend(Choice(address: choice, sendsProxyHeader: route.sendsProxyHeader))
        }
    }

    func succeeded(_ address: BackendAddress) {
        if change(address, { $0.succeeded(address) }) { log.backendIsBack(address) }
    }

    func failed(_ address: BackendAddress, _ error: any Error, now: NIODeadline) {
        if change(address, { $0.failed(address, now: now) }) { log.backendIsAside(address, error) }
    }

    func released(_ address: BackendAddress) {
        change(address) { $0.released(address) }
    }

    @discardableResult
    private func change<Result: Sendable>(
        _ address: BackendAddress,
        _ body: (inout Backends) -> Result
    ) -> Result {
        state.withLockedValue { state in
            let result = body(&state.backends)
            metrics.set(state.backends.health[address], of: address)
            return result
        }
    }
}
