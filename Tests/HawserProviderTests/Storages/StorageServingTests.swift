import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

/// The work on storages in a running server, as tenants and the provider's commands see it.
@Suite struct StorageServingTests {
    private static func with(
        _ body: (ServedProvider, TestClient, S3TestServer, _ path: String) async throws -> Void
    ) async throws {
        try await withS3TestServer { server in
            try await withProviderFolder { provider in
                let repository = try await provider.database.repository(provider.repository)
                var settings = try await provider.database.storage(repository.storage).settings
                let user = S3TestServer.Configuration.User.test
                settings.endpoint = server.endpoint
                settings.accessKeyID = user.accessKeyID
                let secret = Secret(Array(user.secretAccessKey.utf8))
                // Bucket and prefix of a storage in use can't change: it is another one.
                settings.bucket = "hawser"
                let storage = try await provider.database.addStorage("live", settings, secret: secret)
                let main = try await provider.database.addRepository("live", storage: storage.id, RepositorySettings())
                let folder = try await provider.database.setQuota(
                    tenant: provider.tenant,
                    repository: main.id,
                    limit: 1000
                )
                try await provider.withServer {
                    $0.folder = provider.folder
                    $0.storageWork.answerTime = .seconds(3600)
                } _: { client in
                    try await body(provider, client, server, folder.path(in: settings))
                }
            }
        }
    }

    private static func live(_ provider: ServedProvider) async throws -> ControlID {
        try #require(try await provider.database.repositories().first { $0.name == "live" }).id
    }

    @Test func aDeletionIsDoneWithinTheRequest() async throws {
        try await Self.with { provider, client, server, path in
            let repository = try await Self.live(provider)
            let gone = object(100)
            try await server.store(path + gone.key, [UInt8](repeating: 1, count: 100), in: "hawser")
            let session = try await client.signIn(purpose: .prune)
            let answer = try await client.post(
                ControlAPI.deletions(repository),
                DeletionRequest(keys: [gone.key]),
                token: session.token
            ).value(DeletionAnswer.self)
            #expect((answer.deleted, answer.waiting) == (1, 0))
            #expect(server.keys(in: "hawser", prefix: path) == [])
        }
    }

    @Test func whoStoresTooMuchGetsNoGrantForMore() async throws {
        try await Self.with { provider, client, server, path in
            let repository = try await Self.live(provider)
            let session = try await client.signIn(purpose: .backup)
            try await server.store(path + object(5000).key, [UInt8](repeating: 1, count: 5000), in: "hawser")
            let views = try await AdminClient.withClient(socket: provider.folder.adminSocket) {
                try await $0.perform(QuotaReconcile(tenant: "acme"))
            }
            let live = try #require(views.first { $0.repository == "live" })
            #expect(live.report?.isOver == true)
            #expect(live.report?.stored == 5000)
            // Nothing answers where the other repository's storage should be.
            #expect(views.first { $0.repository == "main" }?.problem != nil)
            let grant = try await client.post(
                ControlAPI.grants(repository),
                GrantRequest(purpose: .backup),
                token: session.token
            )
            #expect(grant.code == "quota_exceeded")
        }
    }
}
