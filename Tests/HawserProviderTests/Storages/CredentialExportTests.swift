import Crypto
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider
@testable import HawserS3

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A provider with temporary credentials, whose tenant asks for some to hand on to another program.
private struct ExportScene {
    let provider: ServedProvider
    let client: TestClient
    let server: S3TestServer
    let repository: ControlID
    let settings: StorageSettings

    var database: ConfigurationDatabase { provider.database }

    static func run(_ export: CredentialExport?, _ body: (ExportScene) async throws -> Void) async throws {
        try await withS3TestServer { server in
            try await withProviderFolder { provider in
                let live = try await provider.addLive(
                    server,
                    RepositorySettings(access: .sts, credentialExport: export),
                    limit: 1 << 30
                ) {
                    $0.prefix = "below"
                    $0.sts = SecurityTokenSettings(roleARN: "arn:aws:iam::1:role/tenants")
                    $0.checked = [AccessPermissions.sts.rawValue: StorageSettings.held]
                }
                try await provider.withServer {
                    $0.folder = provider.folder
                } _: { client in
                    let scene = ExportScene(
                        provider: provider,
                        client: client,
                        server: server,
                        repository: live.id,
                        settings: live.storage
                    )
                    try await body(scene)
                }
            }
        }
    }

    func change(_ change: (inout RepositorySettings) -> Void) async throws {
        var settings = try await database.repository(repository).settings
        change(&settings)
        try await database.updateRepository(repository, settings)
    }

    func ask(
        _ purpose: Purpose,
        _ session: SessionAnswer,
        vaultKey: Data?,
        export: Bool? = true
    ) async throws -> TestClient.Answer {
        try await client.post(
            ControlAPI.grants(repository),
            GrantRequest(purpose: purpose, vaultKey: vaultKey, export: export),
            token: session.token
        )
    }

    /// What a vault has of a grant; its secrets are from then on looked for in the log.
    func credentials(_ purpose: Purpose, _ session: SessionAnswer, export: Bool? = true) async throws -> S3Credentials {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let answer = try await ask(purpose, session, vaultKey: key.publicKey.rawRepresentation, export: export)
        let grant = try answer.value(Grant.self)
        #expect(grant.exported == export)
        let sealed = try #require(grant.credentials)
        let found = try SealedS3Credentials(
            encapsulatedKey: sealed.encapsulatedKey,
            ciphertext: sealed.ciphertext
        ).open(with: key, info: Data(session.session.text.utf8)) { id, secret, token in
            S3Credentials(accessKeyID: id, secretAccessKey: Secret(copying: secret), sessionToken: token)
        }
        #expect(export != true || (1...3600).contains(sealed.expiresIn ?? 0))
        for secret in [found.secretAccessKey, try #require(found.sessionToken)] {
            provider.log.addSecret(String(decoding: secret.bytes, as: UTF8.self))
        }
        return found
    }

    func withStore<Result>(
        _ credentials: S3Credentials,
        folder: String? = nil,
        _ body: (S3ObjectStore) async throws -> Result
    ) async throws -> Result {
        let own = try await database.folder(tenant: provider.tenant, subtenant: nil, repository: repository)
        return try await S3ObjectStore.withStore(
            S3Configuration(settings, folder: folder ?? own.path(in: settings)),
            credentials: StaticCredentials(credentials),
            body
        )
    }

    func exports() async throws -> [AuditEntry] {
        try await database.auditEntries(limit: 100, action: "credential.export")
    }
}

@Suite struct CredentialExportTests {
    private let bytes = Array("sealed".utf8)
    private var key: ObjectKey { .named(.dataPack, ObjectName(sha256Of: bytes)) }

    @Test func nothingIsExportedUnlessTheProviderSaysSo() async throws {
        try await ExportScene.run(nil) { scene in
            let session = try await scene.client.signIn(purpose: .restore)
            let vaultKey = Curve25519.KeyAgreement.PrivateKey().publicKey.rawRepresentation
            let refused = try await scene.ask(.restore, session, vaultKey: vaultKey)
            #expect(refused.code == "access_denied")
            #expect(try await scene.exports().isEmpty)
            // Its own vault gets some all the same.
            _ = try await scene.credentials(.restore, session, export: nil)
            #expect(try await scene.exports().isEmpty)
        }
    }

    @Test func readingIsTheTenantsFolderAndNoMore() async throws {
        try await ExportScene.run(.read) { scene in
            let other = try await scene.database.addTenant("other")
            let foreign = try await scene.database.setQuota(
                tenant: other.id,
                repository: scene.repository,
                limit: 1000
            ).path(in: scene.settings)
            try await scene.server.store(foreign + key.path, bytes, in: "hawser")
            let session = try await scene.client.signIn(purpose: .full)
            let found = try await scene.credentials(.restore, session)
            let name = ObjectName(sha256Of: bytes)
            try await scene.withStore(found) { store in
                let listed = try await store.list(prefix: "", after: nil, limit: 10)
                #expect(listed.isEmpty)
                #expect(await isDenied { _ = try await store.put(key, bytes, sha256: name) })
                #expect(await isDenied { _ = try await store.delete([key]) })
            }
            try await scene.withStore(found, folder: foreign) { store in
                #expect(await isDenied { _ = try await store.get(key, range: nil) })
                #expect(await isDenied { _ = try await store.list(prefix: "", after: nil, limit: 10) })
            }
            for purpose in [Purpose.backup, .full] {
                #expect(try await scene.ask(purpose, session, vaultKey: Data(count: 32)).code == "access_denied")
            }
            #expect(try await scene.exports().count == 1)
        }
    }

    @Test func whoMayExportAllGetsWhatThePurposeAllows() async throws {
        try await ExportScene.run(.all) { scene in
            let name = ObjectName(sha256Of: bytes)
            let session = try await scene.client.signIn(purpose: .full)
            try await scene.withStore(try await scene.credentials(.backup, session)) { store in
                _ = try await store.put(key, bytes, sha256: name)
                #expect(await isDenied { _ = try await store.delete([key]) })
            }
            try await scene.withStore(try await scene.credentials(.full, session)) { try await $0.delete([key]) }
            #expect(scene.server.keys(in: "hawser", prefix: "below") == ["below/\(scene.repository)/repository.json"])
            // A session for less gets less, and insider protection is not got around.
            let reading = try await scene.client.signIn(purpose: .restore)
            #expect(try await scene.ask(.backup, reading, vaultKey: Data(count: 32)).code == "access_denied")
            try await scene.change { $0.insiderProtectionDays = 7 }
            #expect(try await scene.ask(.full, session, vaultKey: Data(count: 32)).code == "access_denied")
        }
    }

    @Test func eachExportIsAnEntryOfItsOwn() async throws {
        try await ExportScene.run(.read) { scene in
            let device = try await scene.client.register()
            let session = try await scene.client.signIn(device, purpose: .restore)
            let own = try await scene.credentials(.restore, session, export: nil)
            let found = [
                try await scene.credentials(.restore, session), try await scene.credentials(.restore, session),
            ]
            // Neither those of the vault nor of another program, so that the storage's log tells whose requests are whose.
            #expect(Set([own, found[0], found[1]].map(\.accessKeyID)).count == 3)
            let entries = try await scene.exports()
            #expect(entries.count == 2)
            let folder = try await scene.database.folder(
                tenant: scene.provider.tenant,
                subtenant: nil,
                repository: scene.repository
            )
            for (entry, credentials) in zip(entries.reversed(), found) {
                #expect(entry.actor == device.id.text && entry.subject == folder.id.text)
                #expect(entry.detail.hasPrefix("restore \(credentials.accessKeyID) until 2"))
                let secret = String(decoding: credentials.secretAccessKey.bytes, as: UTF8.self)
                #expect(!entry.detail.contains(secret))
            }
            _ = try await scene.database.verifyAudit()
            // Who only asks for the way takes nothing out.
            _ = try await scene.ask(.restore, session, vaultKey: nil).value(Grant.self)
            #expect(try await scene.exports().count == 2)
        }
    }

    @Test(arguments: [
        (ConnectionMode.direct, AccessPermissions.shared, "access_denied"), (.direct, .tickets, "unsupported"),
        (.direct, .provider, "unsupported"), (.gateway, .sts, "unsupported"),
    ])
    func otherWaysHaveNothingToExport(mode: ConnectionMode, access: AccessPermissions, code: String) async throws {
        try await ExportScene.run(.all) { scene in
            try await scene.change { ($0.mode, $0.access) = (mode, access) }
            let session = try await scene.client.signIn(purpose: .restore)
            let vaultKey = Curve25519.KeyAgreement.PrivateKey().publicKey.rawRepresentation
            let problem = try await scene.ask(.restore, session, vaultKey: vaultKey).value(ControlProblem.self)
            #expect(problem.code == code)
            // Trying again would be no good.
            #expect(problem.retryAfter == nil)
            #expect(try await scene.exports().isEmpty)
        }
    }
}

private func isDenied(_ body: () async throws -> Void) async -> Bool {
    do {
        try await body()
        return false
    } catch {
        return (error as? HawserError)?.code == .accessDenied
    }
}
