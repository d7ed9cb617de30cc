import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import NIOHTTP1
import Testing

@testable import HawserProvider

/// The work on storages in a running server, as tenants and the provider's commands see it.
@Suite struct StorageServingTests {
    private static func with(
        _ body: (ServedProvider, TestClient, S3TestServer, LiveRepository, _ path: String) async throws -> Void
    ) async throws {
        try await withS3TestServer { server in
            try await withProviderFolder { provider in
                let live = try await provider.addLive(server, limit: 1000)
                let path = try await provider.database.folder(live.folder).path(in: live.storage)
                try await provider.withServer {
                    $0.folder = provider.folder
                    $0.storageWork.answerTime = .seconds(3600)
                } _: { client in
                    try await body(provider, client, server, live, path)
                }
            }
        }
    }

    @Test func aDeletionIsDoneWithinTheRequest() async throws {
        try await Self.with { provider, client, server, live, path in
            let gone = object(100)
            try await server.store(path + gone.key, [UInt8](repeating: 1, count: 100), in: "hawser")
            let session = try await client.signIn(purpose: .prune)
            let answer = try await client.post(
                ControlAPI.deletions(live.id),
                DeletionRequest(keys: [gone.key]),
                token: session.token
            ).value(DeletionAnswer.self)
            #expect((answer.deleted, answer.waiting) == (1, 0))
            #expect(server.keys(in: "hawser", prefix: path) == [])
        }
    }

    @Test func aReplacedSnapshotIsAskedForAndAStorageThatRefusesIsNotTheTenantsTrouble() async throws {
        try await Self.with { _, client, server, live, path in
            let (old, new) = (key(), key())
            try await server.store(path + old.path, [1], in: "hawser")
            let session = try await client.signIn(purpose: .backup)
            func commit() async throws -> TestClient.Answer {
                try await client.post(
                    ControlAPI.commits(live.id),
                    CommitRequest(objects: [], snapshot: new.path, replaces: old.path),
                    token: session.token
                )
            }
            server.add(ServerFault(.answer(.error(403, "AccessDenied", "not yours")), occurrence: .every))
            let refused = try await commit()
            #expect((refused.status, refused.code) == (503, "unavailable"))
            try server.verifyAllFired()
            server.removeFaults()
            #expect(try await commit().status == 200)
            let receipts = try await client.send(.GET, ControlAPI.receipts(live.id), token: session.token)
                .value(ReceiptsAnswer.self).receipts
            #expect(Set(receipts.map(\.snapshot)) == Set([old, new].compactMap { $0.name?.hex }))
            #expect(Set(receipts.map(\.receivedAt)).count == 1)
        }
    }

    @Test func whoStoresTooMuchGetsNoGrantForMore() async throws {
        try await Self.with { provider, client, server, live, path in
            let session = try await client.signIn(purpose: .backup)
            try await server.store(path + object(5000).key, [UInt8](repeating: 1, count: 5000), in: "hawser")
            let views = try await AdminClient.withClient(socket: provider.folder.adminSocket) {
                try await $0.perform(QuotaReconcile(tenant: "acme"))
            }
            let report = try #require(views.first { $0.repository == "live" }).report
            #expect(report?.isOver == true)
            #expect(report?.stored == 5000)
            // Nothing answers where the other repository's storage should be.
            #expect(views.first { $0.repository == "main" }?.problem != nil)
            let grant = try await client.post(
                ControlAPI.grants(live.id),
                GrantRequest(purpose: .backup),
                token: session.token
            )
            #expect(grant.code == "quota_exceeded")
        }
    }
}
