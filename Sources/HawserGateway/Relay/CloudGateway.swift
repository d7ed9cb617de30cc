import HawserFormat
import HawserNetwork
public import Logging
public import Metrics
import NIOConcurrencyHelpers
public import NIOCore
import NIOPosix
public import ServiceLifecycle

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The provider's one public port: relays TLS connections to the backend that the ClientHello's server name says, without
/// opening them. It holds no keys and sees no plaintext.
///
/// ```swift
/// let gateway = CloudGateway(configuration, routes: routes, group: group, logger: logger)
/// try await gateway.run()
/// ```
public final class CloudGateway: Service {
    private let configuration: Configuration
    private let services: RelayServices
    private let connections: Connections
    private let group: any EventLoopGroup
    private let eventLoops: [any EventLoop]
    private let logger: Logger
    private let isListening = NIOLockedValueBox(false)
    private let onListening: @Sendable ([SocketAddress]) -> Void

    /// - Parameter onListening: Gets the addresses with the ports that the system chose, in the order of the configuration.
    public convenience init(
        _ configuration: Configuration,
        routes: RelayRoutes,
        group: any EventLoopGroup,
        logger: Logger,
        metrics: any MetricsFactory = MetricsSystem.factory,
        onListening: @escaping @Sendable ([SocketAddress]) -> Void = { _ in }
    ) {
        self.init(
            configuration,
            routes: routes,
            group: group,
            logger: logger,
            metrics: metrics,
            onListening: onListening,
            connect: BackendDialler(configuration).connect
        )
    }

    init(
        _ configuration: Configuration,
        routes: RelayRoutes,
        group: any EventLoopGroup,
        logger: Logger,
        metrics factory: any MetricsFactory,
        onListening: @escaping @Sendable ([SocketAddress]) -> Void,
        connect: @escaping @Sendable (BackendAddress, any EventLoop) -> EventLoopFuture<any Channel>
    ) {
        let metrics = RelayMetrics(factory: factory)
        let log = RelayLog(logger)
        self.configuration = configuration
        self.group = group
        eventLoops = Array(group.makeIterator())
        self.logger = logger
        self.onListening = onListening
        connections = Connections(configuration.limits, metrics: metrics)
        services = RelayServices(
            configuration: configuration,
            router: Router(routes, metrics: metrics, log: log),
            metrics: metrics,
            log: log,
            idle: IdleWatches(limit: TimeAmount(configuration.idleLimit)),
            connect: connect
        )
    }

    /// Whether it takes connections: it listens, and is not about to stop.
    public var isReady: Bool { isListening.withLockedValue { $0 } && !connections.isStopping }

    /// Clients' connections that are open.
    public var connectionCount: Int { connections.count }

    /// For tests, which look at what they hold.
    var openChannels: [any Channel] { connections.channels }

    /// New connections go by the routes that `load` returns. When it throws, the old ones stay in force, and the reason is
    /// logged.
    public func reload(_ load: () throws -> RelayRoutes) {
        do {
            let routes = try load()
            services.router.replace(with: routes)
            services.metrics.reloaded(ok: true)
            logger.notice("Routes loaded", metadata: ["routes": "\(routes.routes.count)"])
        } catch {
            services.metrics.reloaded(ok: false)
            logger.error("Routes refused; the old ones stay in force", metadata: ["error": "\(error)"])
        }
    }

    /// Listens and relays. A graceful shutdown ends the listening and lets connections end for as long as the
    /// configuration says; a cancellation ends everything at once.
    ///
    /// - Throws: `HawserError` with `unavailable` when it can't listen.
    public func run() async throws {
        let servers = try await listen()
        @Sendable func close() {
            for server in servers { server.close(promise: nil) }
        }
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                for server in servers { try await server.closeFuture.get() }
            } onGracefulShutdown: {
                close()
            }
            isListening.withLockedValue { $0 = false }
            try await drain()
        } onCancel: {
            close()
            connections.closeAll()
        }
    }

    private func listen() async throws -> [any Channel] {
        var servers: [any Channel] = []
        var addresses: [SocketAddress] = []
        for address in configuration.addresses {
            do {
                let first = try await bootstrap(eventLoops[0]).bind(to: address).get()
                servers.append(first)
                addresses.append(first.localAddress ?? address)
                try await share(first, &servers)
            } catch {
                for server in servers { try? await server.close() }
                throw HawserError(.unavailable, "The relay can't listen at \(address.forLog)", cause: error)
            }
        }
        isListening.withLockedValue { $0 = true }
        logger.notice(
            "Relay listens",
            metadata: ["addresses": "\(addresses.map(\.forLog).joined(separator: ", "))"]
        )
        onListening(addresses)
        return servers
    }

    /// A listener for each of the other event loops, between which the kernel shares out the connections: to relay one on the
    /// loop that accepted it costs a fifth less than to hand it on.
    ///
    /// The first one lets others share its port only now that it listens, so that a second relay there is still refused.
    private func share(_ first: any Channel, _ servers: inout [any Channel]) async throws {
        #if os(Linux)
            guard let address = first.localAddress else { return }
            let share = ChannelOptions.Types.SocketOption(level: .socket, name: .init(rawValue: SO_REUSEPORT))
            try await first.setOption(share, value: 1).get()
            for eventLoop in eventLoops.dropFirst() {
                let bootstrap = bootstrap(eventLoop).serverChannelOption(share, value: 1)
                servers.append(try await bootstrap.bind(to: address).get())
            }
        #endif
    }

    private func drain() async throws {
        let count = connections.count
        let eventLoop = eventLoops[0]
        let empty = connections.stop(on: eventLoop)
        if count > 0 {
            logger.notice(
                "Relay stops; connections may end by themselves",
                metadata: ["connections": "\(count)", "drain": "\(configuration.drainLimit)"]
            )
        }
        let timer = eventLoop.scheduleTask(in: TimeAmount(configuration.drainLimit)) { [self] in
            logger.notice("Connections are closed", metadata: ["connections": "\(connections.count)"])
            connections.closeAll()
        }
        // Cancelled before the relay began to stop: nobody has closed what came in between.
        if Task.isCancelled { connections.closeAll() }
        try await empty.get()
        timer.cancel()
        logger.notice("Relay has stopped")
    }

    private func bootstrap(_ eventLoop: any EventLoop) -> ServerBootstrap {
        let services = services
        let connections = connections
        #if os(Linux)
            let bootstrap = ServerBootstrap(group: eventLoop)
        #else
            let bootstrap = ServerBootstrap(group: eventLoop, childGroup: group)
        #endif
        return
            bootstrap
            .serverChannelOption(.backlog, value: Int32(clamping: configuration.backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Accepted in one go; more would let a flood keep the event loop from the connections that it relays.
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    let pause = AcceptPauseHandler { error in
                        services.metrics.acceptFailed()
                        if error.isOutOfResources { services.log.acceptFailed(error) }
                    }
                    try server.pipeline.syncOperations.addHandlers([pause, AdmissionHandler(connections, services)])
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.setRelayOptions()
                    try HelloGate.install(on: channel, services)
                }
            }
    }
}
