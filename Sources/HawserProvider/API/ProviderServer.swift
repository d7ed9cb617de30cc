import HawserControl
import HawserFormat
public import HawserNetwork
import HummingbirdCore
public import Logging
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// The service provider's backup server: knows tenants, storages and quotas, and speaks to tenants and to the provider's
/// commands.
///
/// ```swift
/// let server = ProviderServer(configuration, database: database, logger: logger)
/// try await server.run()  // until cancelled or shut down gracefully
/// ```
public final class ProviderServer: Service {
    public struct Configuration: Sendable {
        /// The server's name is `control.<domain>`.
        public var domain: String
        /// What to listen on for tenants, or for the cloud gateways that relay them.
        public var host = "127.0.0.1"
        /// 0: the system chooses.
        public var port = 6181
        /// The data folder, in which the admin socket is; `nil`: no commands are taken.
        public var folder: ProviderFolder?
        /// Cloud gateways, whose connections begin with a PROXY header.
        public var relays: [AddressBlock] = []
        public var limits = ServerLimits()
        public var storageWork = StorageWorkSettings()
        public var alarms = AlarmSettings()
        /// PEM files that somebody else renews; `nil`: certificates of our own authority.
        public var certificateFiles: CertificateFiles?

        public init(domain: String) {
            self.domain = domain
        }
    }

    /// Paths of PEM files.
    public struct CertificateFiles: Sendable {
        public var certificate: String
        public var key: String
        /// The roots that tenants pin: the certificate's, and one that will take its place.
        public var authority: String

        public init(certificate: String, key: String, authority: String) {
            self.certificate = certificate
            self.key = key
            self.authority = authority
        }
    }

    private enum State {
        case stopped, running, stopping
    }

    private let configuration: Configuration
    private let database: ConfigurationDatabase
    private let logger: Logger
    private let onListening: @Sendable (_ port: Int) -> Void
    private let state = Mutex(State.stopped)
    private let health = DatabaseHealth()

    /// - Parameter onListening: called with the port when tenants can connect.
    public init(
        _ configuration: Configuration,
        database: ConfigurationDatabase,
        logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.database = database
        self.logger = logger
        self.onListening = onListening
    }

    /// Whether it takes new sessions, each of which is a row of the database: for the readiness endpoint.
    public var isReady: Bool { health.isGood && state.withLock { $0 == .running } }

    /// Runs until cancelled, or shut down gracefully: then running requests end, event streams ask their clients to come
    /// back in a moment, and this returns when all connections are closed.
    public func run() async throws {
        if configuration.certificateFiles == nil { try await database.setGivenAuthorities(nil) }
        let certificates = try await CertificateKeeper(
            CertificateSource(configuration, database),
            logger: logger
        )
        let parts = ServerParts(configuration, database, certificates, logger)
        defer { state.withLock { $0 = .stopped } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.serveTenants(parts) }
            group.addTask { try await parts.keepHouse(self.health) }
            group.addTask { await parts.spreadChanges() }
            group.addTask { await parts.storageWork.run() }
            let alarms = AlarmWatch(
                database: database,
                settings: configuration.alarms,
                certificateEnd: { certificates.notAfter },
                authorityEnd: { certificates.authorityEnds },
                clocksAhead: { parts.storageWork.clocksAhead },
                logger: logger
            )
            group.addTask { await alarms.run() }
            group.addTask { try await certificates.run() }
            if let folder = configuration.folder {
                let commands = ServerCommands(
                    certificates: certificates,
                    service: AdminService(
                        database,
                        folder: folder,
                        alarms: alarms,
                        storageWork: parts.storageWork,
                        joinString: database.joinStrings(domain: configuration.domain) { certificates.authorities }
                    )
                )
                group.addTask {
                    try await AdminListener(path: folder.adminSocket, transport: commands, logger: self.logger).run()
                }
            }
            // The tenants' listener ends last; whatever else ends before it ends by an error, or by the graceful stop.
            defer { group.cancelAll() }
            while let result = await group.nextResult() {
                try result.get()
                if state.withLock({ $0 == .stopped }) { return }
            }
        }
    }

    private func serveTenants(_ parts: ServerParts) async throws {
        defer { state.withLock { $0 = .stopped } }
        let server = Server(
            childChannelSetup: parts.channel,
            configuration: ServerConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                // Of connections that wait to be accepted: all tenants come at once after a restart.
                backlog: 4096
            ),
            onServerRunning: { [self] channel in
                state.withLock { $0 = .running }
                let port = channel.localAddress?.port ?? configuration.port
                logger.notice("Listening for tenants", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
                onListening(port)
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        try await withGracefulShutdownHandler {
            try await server.run()
        } onGracefulShutdown: {
            self.state.withLock { $0 = .stopping }
            self.logger.notice("Stopping", metadata: ["streams": "\(parts.hub.count)"])
            parts.stopStreams()
        }
    }
}
