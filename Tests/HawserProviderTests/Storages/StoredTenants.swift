import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

/// Tenants of a provider whose storage is a real server.
struct StoredTenants: Sendable {
    static let bucket = "hawser"

    let provider: TestProvider
    let server: S3TestServer
    let repository: RepositoryRecord
    let log: ServerLog

    /// As a server that has just started.
    func work(_ change: (inout StorageWorkSettings) -> Void = { _ in }) -> StorageWork {
        var settings = StorageWorkSettings()
        change(&settings)
        return StorageWork(provider.database, settings, logger: log.logger)
    }

    func tenant(_ name: String = "tenant", limit: Int? = nil) async throws -> TestTenant {
        try await provider.tenant(name, in: repository, limit: limit)
    }

    func path(_ tenant: TestTenant) async throws -> String {
        try await tenant.record().path(in: provider.database.storage(repository.storage).settings)
    }

    /// Puts objects into the tenant's folder, as it would by itself.
    func store(_ objects: [ObjectRecord], _ tenant: TestTenant) async throws {
        let path = try await path(tenant)
        for object in objects {
            try await server.store(path + object.key, [UInt8](repeating: 7, count: object.length), in: Self.bucket)
        }
    }

    /// Keys below the tenant's folder.
    func keys(_ tenant: TestTenant) async throws -> [String] {
        let path = try await path(tenant)
        return try #require(server.keys(in: Self.bucket, prefix: path)).map { String($0.dropFirst(path.count)) }
    }

    static func with<Result>(
        _ settings: RepositorySettings = RepositorySettings(),
        hasVersions: Bool = false,
        _ body: (StoredTenants) async throws -> Result
    ) async throws -> Result {
        try await TestProvider.with { provider in
            try await withServer(provider, hasVersions: hasVersions) { server in
                let repository = try await addRepository("main", provider, server, settings)
                let log = ServerLog()
                let stored = StoredTenants(provider: provider, server: server, repository: repository, log: log)
                let result = try await body(stored)
                log.addSecret(S3TestServer.Configuration.User.test.secretAccessKey)
                for key in server.sessions { if let secret = server.secret(of: key) { log.addSecret(secret) } }
                try log.addKey(of: provider.folder)
                log.expectNoSecret()
                return result
            }
        }
    }

    static func withServer<Result>(
        _ provider: TestProvider,
        hasVersions: Bool = false,
        maximumClockSkew: Duration = .seconds(100 * 365 * 86_400),
        _ body: (S3TestServer) async throws -> Result
    ) async throws -> Result {
        var configuration = S3TestServer.Configuration()
        configuration.buckets = [.init(bucket, hasVersions: hasVersions)]
        // Objects have the time of the test's clock; requests are signed with the machine's.
        configuration.now = { provider.clock.wall.timestamp }
        configuration.behaviour.maximumClockSkew = maximumClockSkew
        return try await withS3TestServer(configuration, body)
    }

    static func addRepository(
        _ name: String,
        _ provider: TestProvider,
        _ server: S3TestServer,
        _ settings: RepositorySettings = RepositorySettings()
    ) async throws -> RepositoryRecord {
        let user = S3TestServer.Configuration.User.test
        let storage = try await provider.database.addStorage(
            name,
            StorageSettings(
                kind: .compatible,
                endpoint: server.endpoint,
                bucket: bucket,
                prefix: "backups",
                accessKeyID: user.accessKeyID
            ),
            secret: Secret(Array(user.secretAccessKey.utf8))
        )
        return try await provider.database.addRepository(name, storage: storage.id, settings)
    }
}
