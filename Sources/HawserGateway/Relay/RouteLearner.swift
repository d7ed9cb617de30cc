import HawserControl
import HawserFormat
public import Logging
public import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Learns from the provider's server where gateway servers are, and tells it how busy the relay is. What stands in the
/// routes file goes before, and stays: the way to the provider's server itself has to be there.
public final class RouteLearner: Service {
    // Somebody joins while the relay runs.
    private static let pauseBetweenLooks = Duration.seconds(5)
    private static let pauseBetweenReports = Duration.seconds(10)

    private struct State {
        var fixed: RelayRoutes
        var learned: [GatewayServerRoute] = []
        /// In the file.
        var kept: [GatewayServerRoute]?
    }

    private let folder: String
    private let gateway: CloudGateway
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - folder: of `hawser-gateway join`. What was learned is kept there, for a start without the provider's server.
    ///   - fixed: of the routes file.
    public init(folder: String, fixed: RelayRoutes, gateway: CloudGateway, logger: Logger) {
        self.folder = folder
        self.gateway = gateway
        self.logger = logger
        state = Mutex(State(fixed: fixed))
    }

    /// The routes file was read again. When `load` throws, everything stays as it was.
    public func reload(_ load: () throws -> RelayRoutes) {
        change { $0.fixed = try load() }
    }

    /// One change at a time comes into force.
    private func change(_ body: (inout State) throws -> Void) {
        state.withLock { state in
            gateway.reload {
                var new = state
                try body(&new)
                let routes = try new.fixed.adding(new.learned, logger)
                state = new
                return routes
            }
        }
    }

    /// Until it is cancelled or shut down gracefully.
    public func run() async throws {
        restore()
        await cancelWhenGracefulShutdown { [self] in
            while let membership = await membership() {
                do {
                    try await follow(ProviderLink(membership, folder: folder, logger: logger), as: membership)
                } catch {
                    logger.error("The relay learns no routes", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: Self.pauseBetweenLooks)
                }
            }
        }
        // A relay goes on with the routes that it has, and its end is not this one's to bring about.
        try? await gracefulShutdown()
    }

    /// `nil` when cancelled.
    private func membership() async -> GatewayMembership? {
        var isTold = false
        while !Task.isCancelled {
            do {
                return try GatewayMembership.load(folder)
            } catch {
                if !isTold { logger.notice("Only the routes of the file are known", metadata: ["reason": "\(error)"]) }
                isTold = true
            }
            try? await Task.sleep(for: Self.pauseBetweenLooks)
        }
        return nil
    }

    /// Until it is cancelled, or another membership is in the folder.
    private func follow(_ link: ProviderLink, as membership: GatewayMembership) async {
        await withTaskGroup { group in
            group.addTask {
                await link.run { event in
                    if case .routes(let routes) = event { self.learn(routes) }
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    if link.isConnected {
                        let load = GatewayLoad(connections: self.gateway.connectionCount)
                        if let request = try? ControlRequest.post(GatewayServerAPI.load, load) {
                            try? await link.tell(request)
                        }
                    }
                    try? await Task.sleep(for: Self.pauseBetweenReports)
                }
            }
            repeat {
                try? await Task.sleep(for: Self.pauseBetweenLooks)
            } while !Task.isCancelled && (try? GatewayMembership.load(folder))?.isOther(than: membership) != true
            group.cancelAll()
        }
        await link.shutdown()
    }

    func learn(_ routes: [GatewayServerRoute]) {
        // The server tells them anew with each connection.
        let (isNew, isKept) = state.withLock { ($0.learned != routes, $0.kept == routes) }
        if isNew { change { $0.learned = routes } }
        guard !isKept else { return }
        do {
            try GatewayMembership.write(try JSONEncoder().encode(routes), to: file)
            state.withLock { $0.kept = routes }
        } catch {
            logger.warning("The routes can't be kept for the next start", metadata: ["error": "\(error)"])
        }
    }

    private func restore() {
        guard let data = try? Data(contentsOf: URL(filePath: file)) else { return }
        guard let routes = try? JSONDecoder().decode([GatewayServerRoute].self, from: data) else {
            return logger.warning("The routes that were kept can't be read", metadata: ["file": "\(file)"])
        }
        change { ($0.learned, $0.kept) = (routes, routes) }
    }

    private var file: String { "\(folder)/routes.json" }
}

extension RelayRoutes {
    /// With those that are not there yet. One that can't be used is left out, and logged.
    func adding(_ learned: [GatewayServerRoute], _ logger: Logger) throws -> RelayRoutes {
        var known: Set<ServerName> = []
        var all = routes
        for route in learned {
            guard let pattern = ServerNamePattern(route.name), !pattern.isWildcard,
                let backend = BackendAddress(route.address)
            else {
                logger.error(
                    "A route of the provider's server can't be used",
                    metadata: [
                        "name": "\(displayText(route.name.utf8))", "address": "\(displayText(route.address.utf8))",
                    ]
                )
                continue
            }
            guard self.route(for: pattern.name) == nil else { continue }
            if known.insert(pattern.name).inserted { all.append(Route(names: [pattern], backends: [backend])) }
        }
        return try RelayRoutes(all)
    }
}
