import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserS3
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("Credentials of tenants' folders")
struct IssuingTests {
    private static let ways: [SecurityTokenSettings] = [
        SecurityTokenSettings(roleARN: "arn:aws:iam::1:role/tenants"),
        SecurityTokenSettings(principal: "arn:aws:iam::1:user/provider"),
    ]

    private func with(
        _ tokens: SecurityTokenSettings,
        _ body: (StoredTenants, StorageRecord) async throws -> Void
    ) async throws {
        try await StoredTenants.with(RepositorySettings(access: .sts)) { stored in
            let database = stored.provider.database
            var settings = try await database.storage(stored.repository.storage).settings
            settings.sts = tokens
            try await database.updateStorage(stored.repository.storage, settings)
            try await body(stored, try await database.storage(stored.repository.storage))
        }
    }

    private func status(
        _ method: String,
        _ key: String,
        _ credentials: S3Credentials,
        _ storage: StorageRecord
    ) async throws -> Int {
        try await HTTPClient.withHTTPClient { client in
            try await RawRequests(client, storage.settings).send(
                method,
                key,
                body: method == "PUT" ? [1] : [],
                as: credentials
            ).status
        }
    }

    @Test("Reach the own folder, as far as the purpose goes, and no neighbour's", arguments: ways)
    func fence(tokens: SecurityTokenSettings) async throws {
        try await with(tokens) { stored, storage in
            let (tenant, neighbour) = (try await stored.tenant(), try await stored.tenant("neighbour"))
            let issuer = stored.work().issuer
            let account = try await tenant.database.account(tenant.record())
            let (own, foreign) = (try await stored.path(tenant) + "x", try await stored.path(neighbour) + "x")
            for purpose in [Purpose.restore, .backup, .full] {
                let issued = try await issuer.temporary(storage, folder: account, purpose: purpose)
                let isReadOnly = purpose == .restore
                #expect(try await status("PUT", own, issued.credentials, storage) == (isReadOnly ? 403 : 200))
                #expect(try await status("PUT", foreign, issued.credentials, storage) == 403)
                #expect(try await status("GET", foreign, issued.credentials, storage) == 403)
                let deletes = try await status("DELETE", own, issued.credentials, storage)
                #expect(deletes == (purpose == .full ? 204 : 403))
            }
            let signer = try await issuer.signer(storage, folder: tenant.record())
            #expect(try await status("PUT", own, signer, storage) == 200)
            #expect(try await status("GET", own, signer, storage) == 403)
        }
    }

    @Test("Serve the next session while they are fresh, and not longer", arguments: ways)
    func reuse(tokens: SecurityTokenSettings) async throws {
        try await with(tokens) { stored, storage in
            let tenant = try await stored.tenant()
            let issuer = stored.work().issuer
            let account = try await tenant.database.account(tenant.record())
            let first = try await issuer.temporary(storage, folder: account, purpose: .backup)
            // Fourteen days were asked for, and half a day is what there was.
            #expect(first.expiresIn == .seconds(43_200))
            stored.provider.advance(.seconds(20_000))
            let second = try await issuer.temporary(storage, folder: account, purpose: .backup)
            #expect(second.credentials.accessKeyID == first.credentials.accessKeyID)
            #expect(second.expiresIn == .seconds(23_200))
            stored.provider.advance(.seconds(10_000))
            let third = try await issuer.temporary(storage, folder: account, purpose: .backup)
            #expect(third.credentials.accessKeyID != first.credentials.accessKeyID)
            #expect(third.generation > first.generation)
        }
    }

    @Test("End at the storage when a machine is revoked or the tenant disabled", arguments: ["device", "tenant"])
    func revoked(what: String) async throws {
        try await with(Self.ways[1]) { stored, storage in
            let (tenant, neighbour) = (try await stored.tenant(), try await stored.tenant("neighbour"))
            let work = stored.work()
            let (account, other) = (
                try await tenant.database.account(tenant.record()),
                try await tenant.database.account(neighbour.record())
            )
            let key = try await stored.path(tenant) + "x"
            let first = try await work.issuer.temporary(storage, folder: account, purpose: .backup)
            let theirs = try await work.issuer.temporary(storage, folder: other, purpose: .backup)
            #expect(try await status("PUT", key, first.credentials, storage) == 200)
            await work.revokeCredentials()
            #expect(try await status("PUT", key, first.credentials, storage) == 200)
            if what == "device" {
                try await tenant.database.revokeDevice(tenant.device)
            } else {
                _ = try await tenant.database.updateTenant(tenant.tenant) { $0.isEnabled = false }
            }
            await work.revokeCredentials()
            #expect(try await status("PUT", key, first.credentials, storage) == 403)
            #expect(try await status("PUT", stored.path(neighbour) + "x", theirs.credentials, storage) == 200)
            // The tenant's other machines get new ones, and the old ones stay dead.
            let second = try await work.issuer.temporary(storage, folder: account, purpose: .backup)
            #expect(second.credentials.accessKeyID != first.credentials.accessKeyID)
            #expect(try await status("PUT", key, second.credentials, storage) == 200)
            #expect(try await status("PUT", key, first.credentials, storage) == 403)
        }
    }

    @Test(
        "End at the storage over quota and after the contract's end, once",
        arguments: ["own quota", "tenant's quota", "contract"]
    )
    func beyondLimits(what: String) async throws {
        try await with(Self.ways[1]) { stored, storage in
            let tenant = try await stored.tenant(limit: 1000)
            let part = try await tenant.subtenant("part", limit: 500)
            let (work, database) = (stored.work(), stored.provider.database)
            let account = try await database.account(part.record())
            let key = try await stored.path(part) + "x"
            let first = try await work.issuer.temporary(storage, folder: account, purpose: .backup)
            func pass() async throws {
                try await database.beat()
                await work.revokeCredentials()
            }
            try await pass()
            #expect(try await status("PUT", key, first.credentials, storage) == 200)
            switch what {
            case "own quota":
                _ = try await database.reconcile(part.folder, listing: listing([object(501)]))
            case "tenant's quota":
                _ = try await database.reconcile(tenant.folder, listing: listing([object(1001)]))
            default:
                _ = try await database.updateTenant(tenant.tenant) { $0.leaseEnd = stored.provider.clock.wall }
            }
            try await pass()
            #expect(try await status("PUT", key, first.credentials, storage) == 403)
            // What reads, and what prunes, goes on.
            for purpose in [Purpose.restore, .prune] {
                let issued = try await work.issuer.temporary(storage, folder: account, purpose: purpose)
                try await pass()
                #expect(try await status("GET", key, issued.credentials, storage) == 200)
            }
            #expect(try await database.auditEntries(limit: 100, action: "credential.revoke").count == 1)
        }
    }

    /// Of a role that all tenants share nothing can be taken back.
    @Test("Keep a removed tenant's folder while they could store there", arguments: ways)
    func removed(tokens: SecurityTokenSettings) async throws {
        try await with(tokens) { stored, storage in
            let tenant = try await stored.tenant()
            let work = stored.work()
            let account = try await tenant.database.account(tenant.record())
            let issued = try await work.issuer.temporary(storage, folder: account, purpose: .backup)
            try await tenant.database.removeTenant(tenant.tenant, keep: .seconds(60))
            await work.revokeCredentials()
            stored.provider.advance(.seconds(60))
            let key = try await stored.path(tenant) + "x"
            let canStore = try await status("PUT", key, issued.credentials, storage) == 200
            #expect(canStore == (tokens.principal == nil))
            await work.removeTenants()
            #expect(try await tenant.database.tenants().isEmpty == !canStore)
            stored.provider.advance(.seconds(43_200))
            await work.removeTenants()
            #expect(try await tenant.database.tenants().isEmpty)
            #expect(stored.server.keys(in: StoredTenants.bucket, prefix: key) == [])
        }
    }

    @Test("Are given out though the repository's configuration can't be written, as with a full storage")
    func fullStorage() async throws {
        try await with(Self.ways[1]) { stored, storage in
            let tenant = try await stored.tenant()
            let configuration = ServerFault.Keys.containing("repository.json")
            stored.server.add(
                ServerFault(
                    .answer(.error(507, "InsufficientStorage")),
                    on: [.put],
                    keys: configuration,
                    occurrence: .every
                )
            )
            let account = try await tenant.database.account(tenant.record())
            let issued = try await stored.work().issuer.temporary(storage, folder: account, purpose: .restore)
            let path = try await stored.path(tenant)
            #expect(try await status("GET", path + "x", issued.credentials, storage) == 404)
        }
    }

    @Test("Are never those of a role that was removed while they were made")
    func revokedWhileIssuing() async throws {
        try await with(Self.ways[1]) { stored, storage in
            let tenant = try await stored.tenant()
            let account = try await tenant.database.account(tenant.record())
            let key = try await stored.path(tenant) + "x"
            let issuer = stored.work().issuer
            _ = try await issuer.temporary(storage, folder: account, purpose: .restore)
            // The storage has given them, and the answer is on its way.
            let gate = Gate()
            stored.server.add(ServerFault(.holdAnswer(gate), on: [.sts], occurrence: .only(4)))
            async let first = issuer.temporary(storage, folder: account, purpose: .backup)
            try await gate.waitForArrivals(1)
            async let revoked: Void = issuer.revoke(storage, folder: tenant.folder)
            // Nothing of it may go on before: it would have to ask the storage.
            for _ in 0..<1000 { await Task.yield() }
            gate.open()
            _ = try await (first, revoked)
            let next = try await issuer.temporary(storage, folder: account, purpose: .backup)
            #expect(try await status("PUT", key, next.credentials, storage) == 200)
        }
    }

    @Test("Come from a role that is made again when somebody has removed it")
    func removedRole() async throws {
        try await with(Self.ways[1]) { stored, storage in
            let tenant = try await stored.tenant()
            let account = try await tenant.database.account(tenant.record())
            let issuer = stored.work().issuer
            _ = try await issuer.temporary(storage, folder: account, purpose: .backup)
            // By another process, so that this one does not know.
            try await stored.work().issuer.revoke(storage, folder: tenant.folder)
            await expectError(.accessDenied) {
                try await issuer.temporary(storage, folder: account, purpose: .backup)
            }
            let again = try await issuer.temporary(storage, folder: account, purpose: .backup)
            #expect(try await status("PUT", stored.path(tenant) + "x", again.credentials, storage) == 200)
        }
    }

    @Test("Come from a role that a part of the storage does not know yet")
    func lateRole() async throws {
        try await with(Self.ways[1]) { stored, storage in
            let tenant = try await stored.tenant()
            let account = try await tenant.database.account(tenant.record())
            // The fourth request is the first that wants the role.
            stored.server.add(ServerFault(.answer(.error(404, "NoSuchEntity")), on: [.sts], occurrence: .only(4)))
            let issued = try await stored.work().issuer.temporary(storage, folder: account, purpose: .backup)
            try stored.server.verifyAllFired()
            #expect(try await status("PUT", stored.path(tenant) + "x", issued.credentials, storage) == 200)
        }
    }

    @Test("Are tried by a hostile tenant before they are believed, who leaves nothing behind", arguments: ways)
    func check(tokens: SecurityTokenSettings) async throws {
        try await with(tokens) { stored, storage in
            let findings = try await FenceCheck.run(storage, stored.work().issuer)
            #expect(findings.filter { !$0.held }.isEmpty)
            #expect(findings.contains { $0.access == .tickets } && findings.contains { $0.access == .sts })
            #expect(findings.contains { $0.attempt == "widen the own role" } == (tokens.principal != nil))
            #expect(stored.server.keys(in: StoredTenants.bucket) == [])
        }
    }

    @Test("Can be given away for reading, which works without the provider's server", arguments: ways)
    func export(tokens: SecurityTokenSettings) async throws {
        try await with(tokens) { stored, storage in
            let tenant = try await stored.tenant()
            let service = AdminService(stored.provider.database, folder: stored.provider.folder)
            let request = TenantExportAccess(tenant: "tenant", repository: "main", seconds: 3600)
            // Not before the fence was seen to hold.
            await expectError(.unsupported) { try await request.run(service) }
            _ = try await StorageCheck(storage: "main").run(service)
            let answer = try await request.run(service)
            let path = try await stored.path(tenant)
            #expect(answer.address == "s3:\(stored.server.endpoint)/\(StoredTenants.bucket)/\(path.dropLast())")
            #expect(answer.end - stored.provider.clock.wall == .seconds(3600))
            let credentials = S3Credentials(
                accessKeyID: answer.accessKeyID,
                secretAccessKey: Secret(Array(answer.secretAccessKey.utf8)),
                sessionToken: answer.sessionToken.map { Secret(Array($0.utf8)) }
            )
            try await stored.store([object(10)], tenant)
            let key = try #require(try await stored.keys(tenant).first)
            #expect(try await status("GET", path + key, credentials, storage) == 200)
            #expect(try await status("PUT", path + "x", credentials, storage) == 403)
            #expect(try await status("DELETE", path + key, credentials, storage) == 403)
            let neighbour = try await stored.path(stored.tenant("neighbour"))
            #expect(try await status("GET", neighbour + "x", credentials, storage) == 403)
            let log = try await stored.provider.database.auditEntries(limit: 10, action: "tenant.exportAccess")
            #expect(log.count == 1 && log.first?.subject == "tenant")
            for seconds in [0, 899, 1_209_601, Int.max] {
                await expectError(.invalidArgument) {
                    try await TenantExportAccess(tenant: "tenant", repository: "main", seconds: seconds).run(service)
                }
            }
        }
    }

    @Test("A new key takes the old one's place when it has shown what it can do")
    func rotation() async throws {
        try await with(Self.ways[0]) { stored, storage in
            let tenant = try await stored.tenant()
            let database = stored.provider.database
            let service = AdminService(database, folder: stored.provider.folder)
            let issuer = stored.work().issuer
            let account = try await database.account(tenant.record())
            let first = try await issuer.temporary(storage, folder: account, purpose: .backup)
            func rotate(_ id: String, _ secret: String) async throws -> StorageRecord {
                try await StorageRotateKey(storage: "main", accessKeyID: id, secret: Data(secret.utf8)).run(service)
            }
            await expectError(.accessDenied) { try await rotate("AKOTHER", "wrong") }
            #expect(try await database.storage(storage.id).settings == storage.settings)
            let user = S3TestServer.Configuration.User.test
            let other = try await rotate(user.accessKeyID, user.secretAccessKey)
            #expect(other.settings.accessKeyID == user.accessKeyID)
            #expect(stored.server.keys(in: StoredTenants.bucket) == ["backups/\(stored.repository.id)/repository.json"])
            let second = try await issuer.temporary(other, folder: account, purpose: .backup)
            #expect(second.credentials.accessKeyID != first.credentials.accessKeyID)
        }
    }

    @Test("A storage that is changed keeps a key that works, and one that must go is not taken again")
    func update() async throws {
        try await with(Self.ways[0]) { stored, storage in
            _ = try await stored.tenant()
            let database = stored.provider.database
            let service = AdminService(database, folder: stored.provider.folder)
            let good = Data(S3TestServer.Configuration.User.test.secretAccessKey.utf8)
            func update(_ secret: Data) async throws -> StorageRecord {
                try await StorageUpdate(storage: "main", settings: storage.settings, secret: secret).run(service)
            }
            await expectError(.accessDenied) { try await update(Data("wrong".utf8)) }
            #expect(try await database.storageSecret(storage.id)?.bytes == Array(good))
            _ = try await update(good)
            // Tenants have had it.
            for access in [AccessPermissions.shared, .sts] {
                try await database.updateRepository(stored.repository.id, RepositorySettings(access: access))
            }
            await expectError(.conflict) { try await update(good) }
            #expect(try await database.storage(storage.id).keyMustBeRotated)
        }
    }
}
