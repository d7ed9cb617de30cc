import AsyncHTTPClient
import Crypto
import HawserControl
import HawserFormat
import HawserNetwork
import HawserTestServer
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL
import ServiceLifecycle
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A configuration database with one storage, one repository and one tenant, and the server on it that runs now.
final class ServedProvider: Sendable {
    static let domain = "provider.test"

    let database: ConfigurationDatabase
    let log: ServerLog
    let folder: ProviderFolder
    let repository: ControlID
    let tenant: ControlID

    init(in folder: String, log: ServerLog, clock: ProviderClock) async throws {
        self.folder = ProviderFolder(folder)
        self.log = log
        database = try await self.folder.initialize(clock: clock)
        try log.addKey(of: self.folder)
        let storage = try await database.addStorage(
            "store",
            StorageSettings(kind: .compatible, endpoint: "https://127.0.0.1:9", bucket: "b", accessKeyID: "AK"),
            secret: Secret.random()
        )
        repository = try await database.addRepository("main", storage: storage.id, RepositorySettings()).id
        tenant = try await database.addTenant("acme").id
        _ = try await database.setQuota(tenant: tenant, repository: repository, limit: 1 << 30)
    }

    func configuration(_ change: (inout ProviderServer.Configuration) -> Void = { _ in })
        -> ProviderServer.Configuration
    {
        var configuration = ProviderServer.Configuration(domain: Self.domain)
        configuration.port = 0
        configuration.limits.reconnectSpread = .milliseconds(100)
        configuration.limits.bePatient()
        change(&configuration)
        return configuration
    }

    /// Of the server that runs, or ran last.
    func authorities() async throws -> [Data] {
        if let given = try await database.givenAuthorities() { return given.authorities }
        return try #require(try await CertificateStorage(database).load()).authorities
    }

    /// Runs a server for the time of `body`; then it is stopped gracefully.
    func withServer<Result: Sendable>(
        _ change: (inout ProviderServer.Configuration) -> Void = { _ in },
        _ body: (TestClient) async throws -> Result
    ) async throws -> Result {
        let (ports, running) = AsyncStream.makeStream(of: Int.self)
        let server = ProviderServer(configuration(change), database: database, logger: log.logger) { port in
            running.yield(port)
        }
        let group = ServiceGroup(services: [server], logger: log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { running.finish() }
                try await group.run()
            }
            guard let port = await ports.first(where: { _ in true }) else {
                try await tasks.waitForAll()
                throw HawserError(.unavailable, "The server ended before it listened.")
            }
            let client = TestClient(self, port: port, authorities: try await authorities()) {
                await group.triggerGracefulShutdown()
            }
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body(client)) } catch { result = .failure(error) }
            try await client.shutdown()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }
}

/// A repository whose storage works, where the provider's tenant has a quota.
struct LiveRepository: Sendable {
    let id: ControlID
    let storage: StorageSettings
    /// The tenant's.
    let folder: ControlID
}

extension ServedProvider {
    /// Adds the repository `live`, in the test server's bucket.
    func addLive(
        _ server: S3TestServer,
        _ repository: RepositorySettings = RepositorySettings(),
        limit: Int,
        _ change: (inout StorageSettings) -> Void = { _ in }
    ) async throws -> LiveRepository {
        let user = S3TestServer.Configuration.User.test
        log.addSecret(user.secretAccessKey)
        var settings = StorageSettings(
            kind: .compatible,
            endpoint: server.endpoint,
            bucket: "hawser",
            accessKeyID: user.accessKeyID
        )
        change(&settings)
        let secret = Secret(Array(user.secretAccessKey.utf8))
        let storage = try await database.addStorage("live", settings, secret: secret)
        let id = try await database.addRepository("live", storage: storage.id, repository).id
        let folder = try await database.setQuota(tenant: tenant, repository: id, limit: limit).id
        return LiveRepository(id: id, storage: settings, folder: folder)
    }
}

extension ServerLimits {
    /// No limit ends what a busy machine delays.
    mutating func bePatient() {
        (firstHead, body, idle, stalled) = (.seconds(3600), .seconds(3600), .seconds(3600), .seconds(3600))
    }
}

/// Makes a provider with a server in a temporary folder; afterwards no line of its log may hold a secret.
func withProvider<Result: Sendable>(
    _ change: (inout ProviderServer.Configuration) -> Void = { _ in },
    _ body: (ServedProvider, TestClient) async throws -> Result
) async throws -> Result {
    try await withProviderFolder { provider in
        try await provider.withServer(change) { try await body(provider, $0) }
    }
}

func withProviderFolder<Result: Sendable>(
    clock: ProviderClock = ProviderClock(),
    _ body: (ServedProvider) async throws -> Result
) async throws -> Result {
    // Short: a Unix socket in it has at most 103 bytes.
    let folder = "/tmp/hawser-\(ControlID.random().text.prefix(12))"
    try FileManager.default.createDirectory(
        atPath: folder,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
    )
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let log = ServerLog()
    let provider = try await ServedProvider(in: folder, log: log, clock: clock)
    do {
        let result = try await body(provider)
        log.expectNoSecret()
        return result
    } catch {
        print(log.lines.joined(separator: "\n"))
        throw error
    }
}
