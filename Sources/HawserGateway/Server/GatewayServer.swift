import Crypto
import HawserControl
import HawserFormat
public import HawserNetwork
import HummingbirdCore
public import Logging
import NIOCore
import NIOPosix
import NIOSSL
public import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The provider's gateway server: runs the target movers that the provider's server orders, and passes tenants' objects
/// through to the storage. It keeps nothing, and sees sealed objects only.
public final class GatewayServer: Service {
    public struct Configuration: Sendable {
        public var host = "127.0.0.1"
        /// 0: the system chooses.
        public var port = 6182
        /// Cloud gateways, whose connections begin with a PROXY header.
        public var relays: [AddressBlock] = []
        /// For requests that run, bytes: each takes 2 MiB of it, whatever the objects' lengths; others wait.
        public var memory = 256 << 20
        public var limits = ServerLimits()
        /// Where the membership is kept up to date; `nil`: nowhere.
        public var folder: String?

        public init() {
            // A slow upload is not idle while its bytes come.
            limits.idle = .seconds(75)
        }
    }

    // Of one request, as measured with 200 uploads at once: pieces read ahead, 64 KiB held back, and the buffers of TLS and
    // of two connections.
    private static let memoryOfRequest = 2 << 20
    private static let tick = Duration.seconds(5)
    // Long before its end (90 days), and before an authority that has signed it is retired (30 days after another signs).
    private static let renewal = 7 * 86_400.0

    private let configuration: Configuration
    private let logger: Logger
    private let onListening: @Sendable (_ port: Int) -> Void
    private let link: ProviderLink
    private let clients: StorageClients
    private let movers: Movers
    private let slots: FairSlots
    private let counter: ConnectionCounter
    private let metrics = GatewayServerMetrics()
    private let context = Mutex<NIOSSLContext?>(nil)
    private let isListening = Mutex(false)

    /// - Parameter onListening: called with the port when tenants can connect.
    public init(
        _ configuration: Configuration,
        membership: GatewayMembership,
        logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) throws {
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        slots = FairSlots(total: max(1, configuration.memory / Self.memoryOfRequest))
        counter = ConnectionCounter(configuration.limits)
        link = try ProviderLink(membership, folder: configuration.folder, logger: logger)
        clients = StorageClients(connections: slots.total)
        movers = Movers(link, clients, logger)
    }

    /// Whether it serves tenants and hears the provider's server: for the readiness endpoint.
    public var isReady: Bool { isListening.withLock { $0 } && link.isConnected }

    /// Runs until cancelled, or shut down gracefully: then running requests end and what leases have left is given back.
    public func run() async throws {
        async let settled: Void = movers.settle()
        let result = await withTaskGroup(of: Result<Void, any Error>?.self) { group in
            let (ready, certified) = AsyncStream.makeStream(of: Void.self)
            group.addTask {
                await self.keepCertificate { certified.yield() }
                return nil
            }
            group.addTask {
                await self.keepHouse()
                return nil
            }
            // Apart: it waits for the provider's server.
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.tick)
                    await self.movers.tend()
                }
                return nil
            }
            group.addTask {
                // Before the first certificate there is nothing to show.
                await cancelWhenGracefulShutdown { for await _ in ready { break } }
                guard let first = self.context.withLock({ $0 }) else { return .success(()) }
                do {
                    return .success(try await self.serve(first))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await self.link.run { await self.movers.apply($0) }
                return nil
            }
            for await result in group {
                guard let result else { continue }
                self.movers.stopAll()
                group.cancelAll()
                return result
            }
            return .success(())
        }
        await settled
        await clients.shutdown()
        await link.shutdown()
        try result.get()
    }

    private func serve(_ first: NIOSSLContext) async throws {
        let service = GatewayService(
            movers: movers,
            link: link,
            slots: slots,
            metrics: metrics,
            failures: ThrottledLog(logger)
        )
        let server = Server(
            childChannelSetup: ControlChannel(
                limits: configuration.limits,
                counter: counter,
                context: { [self] in context.withLock { $0 } ?? first },
                relays: configuration.relays,
                logger: logger,
                onRefused: { GatewayServerMetrics.refused($0.rawValue) },
                responder: { request, writer, connection in try await service.respond(request, writer, connection) }
            ),
            configuration: ServerConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                backlog: 4096
            ),
            onServerRunning: { [self] channel in
                let port = channel.localAddress?.port ?? configuration.port
                isListening.withLock { $0 = true }
                logger.notice("Listening for tenants", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
                onListening(port)
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        defer { isListening.withLock { $0 = false } }
        try await server.run()
    }

    // MARK: Certificate

    /// A new key for each certificate; neither is ever on disk.
    private func keepCertificate(_ onFirst: @Sendable () -> Void) async {
        while !Task.isCancelled {
            var pause = 5.0
            do {
                let key = P256.Signing.PrivateKey()
                let answer: CertificateAnswer = try await link.call(
                    try ControlRequest.post(
                        GatewayServerAPI.certificates,
                        CertificateRequest(publicKey: key.publicKey.x963Representation)
                    )
                )
                let made = try Self.context(answer.chain, key)
                context.withLock { $0 = made }
                onFirst()
                pause = max(60, min(answer.expiresIn * 2 / 3, Self.renewal))
            } catch {
                logger.error("No certificate from the provider's server", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(pause))
        }
    }

    private static func context(_ chain: [Data], _ key: P256.Signing.PrivateKey) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try chain.map { .certificate(try NIOSSLCertificate(bytes: Array($0), format: .der)) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der))
        )
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }

    // MARK: House

    private func keepHouse() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.tick)
            slots.expire()
            metrics.record(
                movers: movers.count,
                running: slots.used,
                connections: counter.total,
                isConnected: link.isConnected
            )
        }
    }
}
