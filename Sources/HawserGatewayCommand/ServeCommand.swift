import ArgumentParser
import CHawser
import HawserGateway
import HawserMetrics
import HawserNetwork
import Logging
import Metrics
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the gateway server: pass tenants' objects through to the storage.",
        discussion: """
            Movers are started by the provider's server. SIGTERM takes no more connections and lets requests end; a second \
            SIGTERM ends at once.

            Example:
              hawser-gateway serve --data /var/lib/hawser-gateway --listen 10.0.0.7:6182 --relay 10.0.0.0/24
            """
    )

    @Option(help: "The data folder of `hawser-gateway join`.", completion: .directory)
    var data: String

    @Option(help: "Address and port to listen on. (default: 127.0.0.1:6182)")
    var listen: ListenOption?

    @Option(
        help:
            "Cloud gateways, whose connections begin with a PROXY header, as 10.0.0.0/24; may be given more than once."
    )
    var relay: [BlockOption] = []

    @Option(help: "Memory for requests that run, as 256M: each takes 2 MiB, whatever the objects' lengths.")
    var memory = SizeOption(256 << 20)

    @Option(help: "Connections in total.")
    var maxConnections = CountOption(4000)

    @Option(help: "Connections of one address (of IPv6: of one /64).")
    var maxPerAddress = CountOption(256)

    @Option(help: "Serve Prometheus metrics, /healthz and /readyz here, as 127.0.0.1:9182; a loopback address, please.")
    var metrics: ListenOption?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "notice"

    func validate() throws {
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("--log-level is trace, debug, info, notice, warning or error.")
        }
    }

    func run() async throws {
        var logger = Logger(label: "hawser-gateway-server")
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .notice
        let registry = PrometheusRegistry(configuration: .init(help: GatewayServerHelp.texts))
        // Before the first metric is made.
        MetricsSystem.bootstrap(registry)
        let server: GatewayServer
        do {
            server = try GatewayServer(configuration(logger), membership: try .load(data), logger: logger)
        } catch {
            throw CommandFailure(error)
        }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let metrics {
            let endpoint = MetricsServer(
                address: metrics.address,
                group: MultiThreadedEventLoopGroup.singleton,
                logger: logger,
                text: { registry.text() },
                isReady: { server.isReady }
            )
            services.append(.init(service: endpoint, serviceName: "metrics"))
        }
        services.append(
            .init(service: server, successTerminationBehavior: .gracefullyShutdownGroup, serviceName: "gateway server")
        )
        do {
            try await Self.run(ServiceGroup(configuration: .init(services: services, logger: logger)), logger)
        } catch is CancellationError {
            // By the second signal: as was asked for.
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Ends with the services; the second signal to stop ends them.
    private static func run(_ group: ServiceGroup, _ logger: Logger) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask {
                var isStopping = false
                for await _ in signals {
                    if isStopping {
                        logger.warning("Second signal: ending at once")
                        return
                    }
                    isStopping = true
                    await group.triggerGracefulShutdown()
                }
            }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    private func configuration(_ logger: Logger) throws -> GatewayServer.Configuration {
        var configuration = GatewayServer.Configuration()
        configuration.folder = data
        if let listen {
            guard let host = listen.address.ipAddress, let port = listen.address.port else {
                throw ValidationError("--listen is an address and a port.")
            }
            (configuration.host, configuration.port) = (host, port)
        }
        configuration.relays = relay.map(\.block)
        configuration.memory = memory.value
        configuration.limits.connections = maxConnections.value
        configuration.limits.connectionsPerAddress = maxPerAddress.value
        // One to the tenant, one to the storage, and some for everything else.
        let wanted = maxConnections.value * 2 + 128
        let files = Int(hawser_raise_file_limit(wanted))
        if files >= 0, files < wanted {
            logger.warning(
                "The limit of open files is too low for all connections",
                metadata: ["files": "\(files)", "wanted": "\(wanted)"]
            )
        }
        return configuration
    }
}

/// `256M`, `1G`.
struct SizeOption: ExpressibleByArgument {
    var value: Int

    init(_ value: Int) {
        self.value = value
    }

    init?(argument: String) {
        let units = ["K": 10, "M": 20, "G": 30]
        guard let unit = argument.last.flatMap({ units[String($0)] }), let count = Int(argument.dropLast()),
            (1...1_000_000).contains(count)
        else { return nil }
        value = count << unit
    }

    var defaultValueDescription: String { "\(value >> 20)M" }
}

enum GatewayServerHelp {
    static let texts = [
        "hawser_gateway_server_requests_total": "Requests of tenants, by operation and first digit of the status.",
        "hawser_gateway_server_received_bytes_total": "Bytes that tenants have sent for objects.",
        "hawser_gateway_server_sent_bytes_total": "Bytes of objects that were sent to tenants.",
        "hawser_gateway_server_movers": "Target movers that run.",
        "hawser_gateway_server_running_requests": "Requests that run; others wait when the memory is used up.",
        "hawser_gateway_server_connections": "Open connections.",
        "hawser_gateway_server_provider_connected": "1 while the provider's server is heard.",
        "hawser_gateway_server_refused_connections_total": "Connections that were refused, by the limit.",
    ]
}
