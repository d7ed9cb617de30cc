import ArgumentParser
import CHawser
import CoreMetrics
import HawserFormat
import HawserMetrics
import HawserNetwork
import HawserProvider
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the server.",
        discussion: """
            Serves tenants until it gets SIGTERM or SIGINT, and then ends in order.

            Example: hawser-provider serve --listen 10.0.0.5:6181 --relay 10.0.0.2 --metrics 127.0.0.1:9180
            """
    )

    @Option(
        help: ArgumentHelp(
            "Where tenants, or the gateways that relay them, connect: 127.0.0.1:6181 by default. "
                + "[HAWSER_PROVIDER_LISTEN]",
            valueName: "host:port"
        )
    )
    var listen: String?

    @Option(
        help: ArgumentHelp(
            "The provider's domain, if `init` was not told. [HAWSER_PROVIDER_DOMAIN]",
            valueName: "domain"
        )
    )
    var domain: String?

    @Option(
        help: ArgumentHelp(
            "A cloud gateway, whose connections begin with a PROXY header; can be repeated. [HAWSER_PROVIDER_RELAYS]",
            valueName: "address[/bits]"
        )
    )
    var relay: [String] = []

    @Option(
        help: ArgumentHelp(
            "Serve /metrics, /healthz and /readyz here; a loopback address. [HAWSER_PROVIDER_METRICS]",
            valueName: "host:port"
        )
    )
    var metrics: String?

    @OptionGroup(title: "Certificates") var certificates: CertificateOptions
    @OptionGroup(title: "Limits") var limits: ServeLimitOptions
    @OptionGroup(title: "Work on storages") var storageWork: StorageWorkOptions
    @OptionGroup(title: "Alarms") var alarms: AlarmOptions

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning or error: info by default. [HAWSER_PROVIDER_LOG_LEVEL]",
            valueName: "level"
        )
    )
    var logLevel: String?

    @Flag(help: "Also when another server seems to run on this database.")
    var takeOver = false

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        var logger = Logger(label: "hawser-provider") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = try level()
        let database = try await options.folder.open(takeOver: takeOver)
        do {
            var configuration = try await configuration(database)
            configuration.limits.connections = Self.connectionLimit(configuration.limits.connections, logger)
            let server = ProviderServer(
                configuration,
                database: database,
                logger: logger
            )
            var services: [any Service] = []
            if let address = metrics ?? Environment.value("HAWSER_PROVIDER_METRICS") {
                services.append(
                    MetricsServer(
                        address: try Self.address(address),
                        group: MultiThreadedEventLoopGroup.singleton,
                        logger: logger,
                        text: registry.text,
                        isReady: { server.isReady }
                    )
                )
            }
            services.append(server)
            try await ServiceGroup(
                services: services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            ).run()
            try await database.close()
        } catch {
            try? await database.close()
            throw error
        }
    }

    private func level() throws -> Logger.Level {
        let text = logLevel ?? Environment.value("HAWSER_PROVIDER_LOG_LEVEL") ?? "info"
        guard let level = Logger.Level(rawValue: text) else {
            throw ValidationError("--log-level is trace, debug, info, notice, warning or error.")
        }
        return level
    }

    private func configuration(_ database: ConfigurationDatabase) async throws -> ProviderServer.Configuration {
        let known = try await database.certificateDomain()
        guard let domain = domain ?? Environment.value("HAWSER_PROVIDER_DOMAIN") ?? known else {
            throw ValidationError("Give the provider's domain with --domain: the server will be control.DOMAIN.")
        }
        var configuration = ProviderServer.Configuration(domain: domain)
        let address = try Self.address(listen ?? Environment.value("HAWSER_PROVIDER_LISTEN") ?? "127.0.0.1:6181")
        configuration.host = address.ipAddress ?? configuration.host
        configuration.port = address.port ?? configuration.port
        configuration.folder = options.folder
        configuration.certificateFiles = try certificates.files()
        configuration.limits = try limits.limits()
        configuration.storageWork = try storageWork.settings()
        configuration.alarms = try alarms.settings()
        let relays = relay.isEmpty ? Environment.list("HAWSER_PROVIDER_RELAYS") : relay
        configuration.relays = try relays.map(Self.block)
        return configuration
    }

    /// Some descriptors are left for the database, listening, event loops and commands.
    private static func connectionLimit(_ wanted: Int, _ logger: Logger) -> Int {
        let reserve = 256
        let files = Int(hawser_raise_file_limit(wanted + reserve))
        guard files >= 0, files < wanted + reserve else { return wanted }
        let possible = max(1, files - reserve)
        logger.warning(
            "Fewer connections than wanted: the limit of open files is too low",
            metadata: ["wanted": "\(wanted)", "connections": "\(possible)", "files": "\(files)"]
        )
        return possible
    }

    static func block(_ text: String) throws -> AddressBlock {
        guard let block = AddressBlock(text) else {
            throw ValidationError("\(text) is no address or block such as 10.0.0.0/24.")
        }
        return block
    }

    private static func address(_ text: String) throws -> SocketAddress {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            let address = try? SocketAddress(
                ipAddress: String(text[..<colon].filter { $0 != "[" && $0 != "]" }),
                port: Int(port)
            )
        else { throw ValidationError("\(text) is no address and port such as 127.0.0.1:6181.") }
        return address
    }
}

struct CertificateOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A certificate chain (PEM) that somebody else renews. [HAWSER_PROVIDER_CERTIFICATE]",
            valueName: "file"
        )
    )
    var certificate: String?
    @Option(help: ArgumentHelp("Its key (PEM). [HAWSER_PROVIDER_CERTIFICATE_KEY]", valueName: "file"))
    var certificateKey: String?
    @Option(
        help: ArgumentHelp(
            "Its root (PEM), which tenants pin, and the one that will take its place. "
                + "[HAWSER_PROVIDER_CERTIFICATE_AUTHORITY]",
            valueName: "file"
        )
    )
    var certificateAuthority: String?

    func files() throws -> ProviderServer.CertificateFiles? {
        let given = [
            certificate ?? Environment.value("HAWSER_PROVIDER_CERTIFICATE"),
            certificateKey ?? Environment.value("HAWSER_PROVIDER_CERTIFICATE_KEY"),
            certificateAuthority ?? Environment.value("HAWSER_PROVIDER_CERTIFICATE_AUTHORITY"),
        ].compactMap(\.self)
        guard !given.isEmpty else { return nil }
        guard given.count == 3 else {
            throw ValidationError(
                "--certificate, --certificate-key and --certificate-authority go together, or are all left out."
            )
        }
        return .init(certificate: given[0], key: given[1], authority: given[2])
    }
}

struct StorageWorkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A tenant that deletes more of a folder within a day waits for your word; per cent, 100: never. "
                + "[HAWSER_PROVIDER_SPREE_PERCENT]",
            valueName: "n"
        )
    )
    var spreePercent: Int?
    @Option(
        help: ArgumentHelp("But not with fewer objects than that. [HAWSER_PROVIDER_SPREE_OBJECTS]", valueName: "n")
    )
    var spreeObjects: Int?
    @Option(
        help: ArgumentHelp(
            "Multipart uploads that were begun earlier are ended. [HAWSER_PROVIDER_UNFINISHED_UPLOAD_HOURS]",
            valueName: "n"
        )
    )
    var unfinishedUploadHours: Int?

    func settings() throws -> StorageWorkSettings {
        var settings = StorageWorkSettings()
        let spreePercent = try spreePercent ?? Environment.number("HAWSER_PROVIDER_SPREE_PERCENT")
        let spreeObjects = try spreeObjects ?? Environment.number("HAWSER_PROVIDER_SPREE_OBJECTS")
        let unfinishedUploadHours =
            try unfinishedUploadHours ?? Environment.number("HAWSER_PROVIDER_UNFINISHED_UPLOAD_HOURS")
        guard (0...100).contains(spreePercent ?? 0), (0...1_000_000_000).contains(spreeObjects ?? 0),
            (1...87_600).contains(unfinishedUploadHours ?? 1)
        else {
            throw ValidationError("Per cent are 0 to 100, objects 0 or more, hours 1 to 87600.")
        }
        settings.spreePercent = spreePercent ?? settings.spreePercent
        settings.spreeObjects = spreeObjects ?? settings.spreeObjects
        if let unfinishedUploadHours { settings.unfinishedUploadAge = .seconds(unfinishedUploadHours * 3600) }
        return settings
    }
}

struct AlarmOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Tell of machines whose last backup is older: 3 by default. [HAWSER_PROVIDER_DAYS_WITHOUT_BACKUP]",
            valueName: "days"
        )
    )
    var daysWithoutBackup: Int?
    @Option(
        help: ArgumentHelp(
            "Tell of contracts that end so soon: 30 by default. [HAWSER_PROVIDER_DAYS_BEFORE_END]",
            valueName: "days"
        )
    )
    var daysBeforeEnd: Int?

    func settings() throws -> AlarmSettings {
        var settings = AlarmSettings()
        settings.daysWithoutBackup =
            try daysWithoutBackup ?? Environment.number("HAWSER_PROVIDER_DAYS_WITHOUT_BACKUP")
            ?? settings.daysWithoutBackup
        settings.daysBeforeEnd =
            try daysBeforeEnd ?? Environment.number("HAWSER_PROVIDER_DAYS_BEFORE_END") ?? settings.daysBeforeEnd
        for days in [settings.daysWithoutBackup, settings.daysBeforeEnd] where !AlarmSettings.days.contains(days) {
            throw ValidationError("Days are 0 to 36500.")
        }
        return settings
    }
}

struct ServeLimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Connections at one time, in all. [HAWSER_PROVIDER_MAX_CONNECTIONS]", valueName: "n"))
    var maxConnections: Int?
    @Option(
        help: ArgumentHelp(
            "Connections at one time of one address. [HAWSER_PROVIDER_MAX_CONNECTIONS_PER_ADDRESS]",
            valueName: "n"
        )
    )
    var maxConnectionsPerAddress: Int?
    @Option(
        help: ArgumentHelp(
            "An address without limits of its own, as of a large network behind a translator; can be repeated. "
                + "[HAWSER_PROVIDER_EXEMPT]",
            valueName: "address[/bits]"
        )
    )
    var exempt: [String] = []

    func limits() throws -> ServerLimits {
        var limits = ServerLimits()
        let maxConnections = try maxConnections ?? Environment.number("HAWSER_PROVIDER_MAX_CONNECTIONS")
        let maxConnectionsPerAddress =
            try maxConnectionsPerAddress ?? Environment.number("HAWSER_PROVIDER_MAX_CONNECTIONS_PER_ADDRESS")
        guard (maxConnections ?? 1) > 0, (maxConnectionsPerAddress ?? 1) > 0 else {
            throw ValidationError("A limit is 1 or more.")
        }
        limits.connections = maxConnections ?? limits.connections
        limits.connectionsPerAddress = maxConnectionsPerAddress ?? limits.connectionsPerAddress
        limits.exemptAddresses = try (exempt.isEmpty ? Environment.list("HAWSER_PROVIDER_EXEMPT") : exempt).map(
            ServeCommand.block
        )
        return limits
    }
}
