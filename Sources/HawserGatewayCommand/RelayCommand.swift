import ArgumentParser
import CHawser
import HawserFormat
import HawserGateway
import HawserMetrics
import HawserNetwork
import Logging
import Metrics
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

struct RelayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Relay TLS connections to the backend that their server name says.",
        discussion: """
            TLS is not opened here. The routes file has at least the way to the provider's server; with --data the others \
            are learned from it (`hawser-gateway join` into that folder). SIGHUP reads the routes again; SIGTERM stops \
            listening and lets connections end for up to --drain; a second SIGTERM ends at once. Every option can also be \
            given as a variable: --idle as HAWSER_RELAY_IDLE.

            Example:
              hawser-gateway relay --routes /etc/hawser/relay.yaml --listen 0.0.0.0:6180 --metrics 127.0.0.1:9180
            """
    )

    /// Options whose variables hold lists.
    static let lists: Set<String> = ["--listen", "--exempt"]

    @Option(help: "The routes file, in YAML.", completion: .file(extensions: ["yaml", "yml"]))
    var routes: String

    @Option(
        help: "Learn more routes from the provider's server; the data folder of `hawser-gateway join`.",
        completion: .directory
    )
    var data: String?

    @Option(
        help: "Address and port to listen on; may be given more than once. (default: [::]:6180, which takes IPv4 too)"
    )
    var listen: [ListenOption] = []

    @Option(help: "Serve Prometheus metrics, /healthz and /readyz here, as 127.0.0.1:9180; a loopback address, please.")
    var metrics: ListenOption?

    @Option(help: "Connections in total. (default: 8000, fewer if the limit of open files is too low)")
    var maxConnections: CountOption?

    @Option(help: "Connections of one address (of IPv6: of one /64).")
    var maxPerAddress = CountOption(256)

    @Option(help: "New connections a second of one address, on average.")
    var newPerSecond = CountOption(50)

    @Option(help: "New connections of one address at once, after a quiet time.")
    var burst = CountOption(200)

    @Option(help: "Addresses without limits of their own, as 192.0.2.0/24; may be given more than once.")
    var exempt: [BlockOption] = []

    @Option(help: "Close a connection on which nothing moves for so long, as 90s or 5m.")
    var idle = TimeOption(.seconds(300))

    @Option(help: "Time for the ClientHello.")
    var helloTimeout = TimeOption(.seconds(5))

    @Option(help: "Time for one attempt to reach a backend.")
    var connectTimeout = TimeOption(.seconds(5))

    @Option(help: "How long connections may go on after SIGTERM.")
    var drain = TimeOption(.seconds(30))

    @Option(help: "Threads that relay. (default: one for each core)")
    var threads: CountOption?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "notice"

    @Flag(help: "Read the routes file, say what is wrong with it, and end.")
    var check = false

    func validate() throws {
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("--log-level is trace, debug, info, notice, warning or error.")
        }
    }

    func run() async throws {
        let loaded: RelayRoutes
        do {
            loaded = try RoutesFile.load(routes)
        } catch {
            throw Failure(error)
        }
        if check { return print("\(routes): \(loaded.routes.count) routes") }

        var logger = Logger(label: "hawser-gateway")
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .notice
        let configuration = try gatewayConfiguration(logger)
        let registry = PrometheusRegistry(configuration: .init(help: RelayHelp.texts))
        // Before the first metric is made.
        MetricsSystem.bootstrap(registry)

        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads?.value ?? System.coreCount)
        let gateway = CloudGateway(
            configuration,
            routes: loaded,
            group: group,
            logger: logger,
            metrics: registry
        )
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let metrics {
            // Before the gateway, so that it is shut down after it.
            let server = MetricsServer(
                address: metrics.address,
                group: group,
                logger: logger,
                text: { registry.text() },
                isReady: { gateway.isReady }
            )
            services.append(.init(service: server, serviceName: "metrics"))
        }
        services.append(
            .init(service: gateway, successTerminationBehavior: .gracefullyShutdownGroup, serviceName: "relay")
        )
        let learner = data.map { RouteLearner(folder: $0, fixed: loaded, gateway: gateway, logger: logger) }
        if let learner {
            // After the gateway, so that it is shut down before it: its connection goes through it.
            services.append(.init(service: learner, serviceName: "routes"))
        }
        let result = await serve(services, gateway, learner, logger)
        try? await group.shutdownGracefully()
        do { try result.get() } catch { throw Failure(error) }
    }

    /// Ends with the services; the second signal to stop ends them.
    private func serve(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration],
        _ gateway: CloudGateway,
        _ learner: RouteLearner?,
        _ logger: Logger
    ) async -> Result<Void, any Error> {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        let group = ServiceGroup(configuration: .init(services: services, logger: logger))
        let path = routes
        return await withTaskGroup(of: Result<Void, any Error>?.self) { tasks in
            tasks.addTask {
                do {
                    return .success(try await group.run())
                } catch is CancellationError {
                    // By the second signal: as was asked for.
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            tasks.addTask {
                var isStopping = false
                for await signal in signals {
                    if signal == .sighup {
                        if let learner {
                            learner.reload { try RoutesFile.load(path) }
                        } else {
                            gateway.reload { try RoutesFile.load(path) }
                        }
                    } else if isStopping {
                        logger.warning("Second signal: ending at once")
                        return nil
                    } else {
                        isStopping = true
                        await group.triggerGracefulShutdown()
                    }
                }
                return nil
            }
            while let result = await tasks.next() {
                tasks.cancelAll()
                if let result { return result }
            }
            return .success(())
        }
    }

    private func gatewayConfiguration(_ logger: Logger) throws -> CloudGateway.Configuration {
        var listen = listen.map(\.address)
        if listen.isEmpty { listen = [try SocketAddress(ipAddress: "::", port: 6180)] }
        return CloudGateway.Configuration(
            addresses: listen,
            limits: .init(
                connections: connectionLimit(logger),
                connectionsPerAddress: maxPerAddress.value,
                newPerSecondAndAddress: newPerSecond.value,
                burstPerAddress: burst.value,
                exempt: exempt.map(\.block)
            ),
            helloLimit: helloTimeout.value,
            connectLimit: connectTimeout.value,
            idleLimit: idle.value,
            drainLimit: drain.value
        )
    }

    /// A connection takes two descriptors; some are left for listening, event loops, metrics and look-ups of names.
    private func connectionLimit(_ logger: Logger) -> Int {
        let wanted = maxConnections?.value ?? 8000
        let reserve = 128
        let files = Int(hawser_raise_file_limit(wanted * 2 + reserve))
        guard files >= 0, files < wanted * 2 + reserve else { return wanted }
        let possible = max(1, (files - reserve) / 2)
        logger.warning(
            "Fewer connections than wanted: the limit of open files is too low",
            metadata: ["wanted": "\(wanted)", "connections": "\(possible)", "files": "\(files)"]
        )
        return possible
    }
}

/// What is shown of an error: the argument parser would print a whole structure.
private struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ error: any Error) {
        description = "\(error)"
    }
}
