import Crypto
import HawserControl
import HawserFormat
import HawserTestServer
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("A bucket that two tenants are in")
struct SharedBucketTests {
    private func ask(
        _ repository: ControlID,
        _ session: SessionAnswer,
        _ client: TestClient
    ) async throws -> TestClient.Answer {
        let key = Curve25519.KeyAgreement.PrivateKey().publicKey.rawRepresentation
        return try await client.post(
            ControlAPI.grants(repository),
            GrantRequest(purpose: .backup, vaultKey: key),
            token: session.token
        )
    }

    @Test("The storage's own key goes to neither, unless the provider accepts that; what is fenced does")
    func ownKey() async throws {
        try await withS3TestServer { storage in
            try await withProvider { provider, client in
                let database = provider.database
                let live = try await provider.addLive(storage, RepositorySettings(access: .shared), limit: 1 << 20) {
                    $0.checked = [AccessPermissions.tickets.rawValue: StorageSettings.held]
                }
                let session = try await client.signIn()
                func expectOwnKey() async throws {
                    let grant = try await ask(live.id, session, client).value(Grant.self)
                    #expect(grant.access == .shared && grant.credentials?.ciphertext.isEmpty == false)
                }
                try await expectOwnKey()
                let part = try await database.addSubtenant("part", of: provider.tenant).id
                _ = try await database.setQuota(
                    tenant: provider.tenant,
                    subtenant: part,
                    repository: live.id,
                    limit: 1 << 10
                )
                try await expectOwnKey()

                // Another storage that is the same bucket, while nobody gets its key.
                try await database.updateRepository(live.id, RepositorySettings())
                var same = live.storage
                same.endpoint += "/"
                let secret = Secret(Array(S3TestServer.Configuration.User.test.secretAccessKey.utf8))
                let place = try await database.addStorage("same", same, secret: secret).id
                let second = try await database.addRepository("second", storage: place, RepositorySettings()).id
                let neighbour = try await database.addTenant("neighbour").id
                _ = try await database.setQuota(tenant: neighbour, repository: second, limit: 1 << 20)
                let theirs = try await client.signIn(try await client.register(tenant: neighbour))
                for (repository, session) in [(live.id, session), (second, theirs)] {
                    try await database.updateRepository(repository, RepositorySettings(access: .shared))
                    let refused = try await ask(repository, session, client)
                    #expect(refused.status == 403 && refused.code == "access_denied")
                    try await database.updateRepository(repository, RepositorySettings(access: .tickets))
                    #expect(try await ask(repository, session, client).value(Grant.self).access == .tickets)
                }
                try await database.updateRepository(
                    live.id,
                    RepositorySettings(access: .shared, acceptsSharedBucket: true)
                )
                try await expectOwnKey()
            }
        }
    }
}
