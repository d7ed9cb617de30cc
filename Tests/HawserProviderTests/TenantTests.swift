import Foundation
import GRDB
import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct TenantTests {
    @Test func namesAreUniqueAndPlain() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            _ = try await database.addTenant("one")
            await expectError(.conflict) { try await database.addTenant("one") }
            for name in ["", "-x", "a b", "ü", "a/b", String(repeating: "x", count: 65)] {
                await expectError(.invalidArgument) { try await database.addTenant(name) }
            }
            for settings in [TenantSettings(mostSessions: 0), TenantSettings(bandwidth: 0)] {
                await expectError(.invalidArgument) { try await database.addTenant("two", settings) }
            }
        }
    }

    @Test func foldersAreSiblingsAndNeverUsedAgain() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let part = try await tenant.subtenant("part", limit: 10)
            let storage = try await provider.database.storage(repository.storage)
            var paths: Set<String> = []
            for folder in try await provider.database.folders(of: tenant.tenant) {
                let path = folder.path(in: storage.settings)
                #expect(path == "\(repository.id)/\(folder.id)/")
                #expect(path.split(separator: "/").count == 2)
                paths.insert(path)
            }
            #expect(paths.count == 2)
            // A subtenant of the same name again has another folder; the old one goes on counting.
            try await provider.database.removeSubtenant(part.subtenant.unsafelyUnwrapped, keep: .seconds(60))
            let again = try await tenant.subtenant("part", limit: 10)
            #expect(again.folder != part.folder)
            #expect(try await provider.database.folders(of: tenant.tenant).count == 3)
            var deep = storage.settings
            deep.prefix = "a/b"
            #expect(try await tenant.record().path(in: deep) == "a/b/\(repository.id)/\(tenant.folder)/")
        }
    }

    @Test func joinCodesAreGoodOnceAndForThreeDays() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let tenant = try await database.addTenant("one")
            let key = randomBytes(32)
            let code = try await database.addJoinCode(.device(tenant: tenant.id, subtenant: nil))
            let kept = try await database.read { try Data.fetchOne($0, sql: "SELECT hash FROM joinCode") }
            #expect(kept == sha256(code.utf8))
            await expectError(.notSignedIn) {
                try await database.registerDevice(code: code, publicKey: [1, 2], name: "short key")
            }
            // The refused attempt did not use it up. People may write it in their own way.
            let typed = code.lowercased().replacingOccurrences(of: "0", with: "o")
            let identity = try await database.registerDevice(code: typed, publicKey: key, name: "machine")
            #expect(identity.tenant.id == tenant.id)
            #expect(identity.device.publicKey == Data(key))
            let again = await expectError(.notSignedIn) {
                try await database.registerDevice(code: code, publicKey: key, name: "machine")
            }
            let late = try await database.addJoinCode(.device(tenant: tenant.id, subtenant: nil))
            provider.advance(.seconds(72 * 3600))
            let expired = await expectError(.notSignedIn) {
                try await database.registerDevice(code: late, publicKey: key, name: "machine")
            }
            let unknown = await expectError(.notSignedIn) {
                try await database.registerDevice(code: "nonsense", publicKey: key, name: "machine")
            }
            // Nobody learns which it was.
            #expect(Set([again, expired, unknown].map { $0?.message }).count == 1)
            #expect(try await database.devices(of: tenant.id).count == 1)
        }
    }

    @Test func codesOfOthersAreNotTaken() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let gateway = try await database.addGateway("g1", kind: .server, address: "g1.example:6181")
            let code = try await database.addJoinCode(.gateway(gateway.id))
            await expectError(.notSignedIn) {
                try await database.registerDevice(code: code, publicKey: randomBytes(32), name: "m")
            }
            let joined = try await database.registerGateway(code: code, publicKey: [1, 2, 3])
            #expect(joined.publicKey == Data([1, 2, 3]))
            let one = try await database.addTenant("one")
            let two = try await database.addTenant("two")
            let part = try await database.addSubtenant("part", of: one.id)
            await expectError(.notFound) {
                try await database.addJoinCode(.device(tenant: two.id, subtenant: part.id))
            }
        }
    }

    // MARK: Sessions

    @Test func aTokenIsOneLookUp() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "a 1")
            #expect(opened.token.count == 32)
            #expect(try provider.database.session(token: opened.token) == opened.session)
            await expectError(.notSignedIn) { try provider.database.session(token: randomBytes(32)) }
            let next = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            #expect(next.session.fence > opened.session.fence)
            let kept = try await provider.database.read { try Data.fetchAll($0, sql: "SELECT token FROM session") }
            #expect(kept.contains(sha256(opened.token)))
            // A new process knows it.
            try await provider.reopen()
            #expect(try provider.database.session(token: opened.token).id == opened.session.id)
            try await provider.database.endSession(opened.session.id)
            await expectError(.sessionOver) { try provider.database.session(token: opened.token) }
        }
    }

    @Test func silenceEndsASessionAndRequestsKeepIt() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            for _ in 0..<3 {
                provider.advance(.seconds(14 * 60))
                try await provider.database.endSilentSessions()
                _ = try provider.database.session(token: opened.token)
            }
            // The time without a server does not count.
            try await provider.database.beat()
            provider.advance(.seconds(3600))
            try await provider.reopen()
            _ = try provider.database.session(token: opened.token)
            provider.advance(.seconds(15 * 60))
            await expectError(.sessionOver) { try provider.database.session(token: opened.token) }
            try await provider.database.endSilentSessions()
            let target = LedgerTarget(opened.session, repository: tenant.repository)
            await expectError(.sessionOver) { try await provider.database.lease(target, bytes: 1) }
            // Long after it is forgotten.
            provider.advance(.seconds(3600))
            try await provider.database.endSilentSessions()
            await expectError(.notSignedIn) { try provider.database.session(token: opened.token) }
        }
    }

    @Test func disablingReachesSessionsAtOnce() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let other = try await provider.tenant("other", in: repository, limit: 100)
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            let safe = try await provider.database.openSession(device: other.device, purpose: .backup, agent: "")
            let changes = provider.database.feed.changes(tenant: tenant.tenant)
            var iterator = changes.makeAsyncIterator()
            _ = try await provider.database.updateTenant(tenant.tenant) { $0.isEnabled = false }
            let heard = await iterator.next() ?? []
            #expect(heard.contains(.tenant(tenant.tenant)))
            let ended = heard.contains {
                if case .sessionEnded(opened.session.id, _, let problem) = $0 {
                    problem.code == HawserError.Code.tenantDisabled.description
                } else {
                    false
                }
            }
            #expect(ended)
            await expectError(.tenantDisabled) { try provider.database.session(token: opened.token) }
            let target = LedgerTarget(opened.session, repository: tenant.repository)
            await expectError(.tenantDisabled) { try await provider.database.lease(target, bytes: 1) }
            for purpose in Purpose.allCases {
                await expectError(.tenantDisabled) {
                    try await provider.database.openSession(device: tenant.device, purpose: purpose, agent: "")
                }
            }
            _ = try provider.database.session(token: safe.token)
            _ = try await provider.database.updateTenant(tenant.tenant) { $0.isEnabled = true }
            _ = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
        }
    }

    @Test func theEndOfTheContractLeavesRestores() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 1000)
            let end = provider.clock.wall + .seconds(86_400)
            _ = try await provider.database.updateTenant(tenant.tenant) { $0.leaseEnd = end }
            let backup = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            let restore = try await provider.database.openSession(device: tenant.device, purpose: .restore, agent: "")
            let prune = try await provider.database.openSession(device: tenant.device, purpose: .prune, agent: "")
            provider.jumpWall(seconds: 86_400)
            let target = LedgerTarget(backup.session, repository: tenant.repository)
            await expectError(.leaseOver) { try await provider.database.lease(target, bytes: 1) }
            try await provider.database.endSilentSessions()
            await expectError(.leaseOver) { try provider.database.session(token: backup.token) }
            _ = try provider.database.session(token: restore.token)
            _ = try provider.database.session(token: prune.token)
            // A full tenant gets out for 30 days more.
            _ = try await provider.database.lease(LedgerTarget(prune.session, repository: tenant.repository), bytes: 1)
            provider.jumpWall(seconds: 30 * 86_400)
            try await provider.database.endSilentSessions()
            await expectError(.leaseOver) { try provider.database.session(token: prune.token) }
            _ = try provider.database.session(token: restore.token)
            await expectError(.leaseOver) {
                try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            }
            _ = try await provider.database.openSession(device: tenant.device, purpose: .restore, agent: "")
        }
    }

    @Test func devicesAreRevokedOneByOne() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let second = try await provider.device(tenant: tenant.tenant)
            let first = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            let other = try await provider.database.openSession(device: second, purpose: .backup, agent: "")
            try await provider.database.revokeDevice(tenant.device)
            await expectError(.revoked) { try provider.database.session(token: first.token) }
            _ = try provider.database.session(token: other.token)
            await expectError(.revoked) {
                try await provider.database.openSession(device: tenant.device, purpose: .restore, agent: "")
            }
            await expectError(.notSignedIn) {
                try await provider.database.openSession(device: .random(), purpose: .backup, agent: "")
            }
        }
    }

    @Test func sessionsAreLimited() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100, TenantSettings(mostSessions: 3))
            let database = provider.database
            // All at once: no more than three get in.
            let results = await withTaskGroup(of: HawserError.Code?.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do {
                            _ = try await database.openSession(device: tenant.device, purpose: .backup, agent: "")
                            return nil
                        } catch {
                            return (error as? HawserError)?.code
                        }
                    }
                }
                return await group.reduce(into: [HawserError.Code?]()) { $0.append($1) }
            }
            #expect(results.count { $0 == nil } == 3)
            #expect(results.count { $0 == .tooManySessions } == 17)
            let live = database.liveSessions(of: tenant.tenant)
            #expect(live.count == 3)
            try await database.endSession(live[0].id)
            _ = try await database.openSession(device: tenant.device, purpose: .backup, agent: "")
        }
    }

    @Test func subtenantsAreDisabledAlone() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let part = try await tenant.subtenant("part", limit: 10)
            let own = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            let below = try await provider.database.openSession(device: part.device, purpose: .backup, agent: "")
            try await provider.database.setSubtenant(part.subtenant.unsafelyUnwrapped, isEnabled: false)
            _ = try provider.database.session(token: own.token)
            await expectError(.tenantDisabled) { try provider.database.session(token: below.token) }
            await expectError(.tenantDisabled) {
                try await provider.database.openSession(device: part.device, purpose: .restore, agent: "")
            }
        }
    }

    @Test func maintenanceKeepsNewSessionsOut() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 100)
            let session = try await tenant.session()
            try await provider.database.setMaintenance("back at noon")
            let error = await expectError(.maintenance) { try await tenant.session() }
            #expect(error?.message == "back at noon")
            #expect(error?.isRetryable == true)
            _ = try await provider.database.lease(session, bytes: 1)
            try await provider.database.setMaintenance(nil)
            _ = try await tenant.session()
        }
    }

    @Test func aRemovedTenantIsKeptForAWhile() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository("main", RepositorySettings(access: .shared))
            let tenant = try await provider.tenant(in: repository, limit: 100)
            await expectError(.accessDenied) { try await provider.tenant("second", in: repository, limit: 1) }
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            try await provider.database.removeTenant(tenant.tenant, keep: .seconds(3 * 86_400))
            await expectError(.tenantDisabled) { try provider.database.session(token: opened.token) }
            #expect(try await provider.database.removedOwners().isEmpty)
            // A clock that jumps ahead deletes nothing.
            provider.jumpWall(seconds: 30 * 86_400)
            #expect(try await provider.database.removedOwners().isEmpty)
            provider.advance(.seconds(3 * 86_400))
            #expect(try await provider.database.removedOwners().map(\.tenant) == [tenant.tenant])
            // It had the bucket's own key.
            #expect(try await provider.database.storage(repository.storage).keyMustBeRotated)
            let settings = try await provider.database.storage(repository.storage).settings
            try await provider.database.updateStorage(repository.storage, settings, secret: Secret([1]))
            #expect(try await !provider.database.storage(repository.storage).keyMustBeRotated)
        }
    }

    @Test func aRemovalIsTakenBackUntilTheDeletionBegins() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let admin = AdminService(database, folder: provider.folder)
            let tenant = try await provider.tenant("acme", in: provider.repository(), limit: 100)
            await expectError(.conflict) { try await admin.perform(TenantRestore(tenant: "acme")) }
            _ = try await admin.perform(TenantRemove(tenant: "acme", keepDays: 1))
            var update = TenantUpdate(tenant: "acme")
            update.isEnabled = true
            let enable = update
            await expectError(.conflict) { try await admin.perform(enable) }
            await expectError(.tenantDisabled) { try await tenant.session() }
            provider.advance(.seconds(86_400))
            let due = try #require(try await database.removedOwners().first)
            let restored = try await admin.perform(TenantRestore(tenant: "acme"))
            #expect(restored.isEnabled && restored.deleteAfter == nil)
            _ = try await tenant.session()
            // Who was about to delete does not.
            #expect(try await !database.beginDeletion(of: due))
            await expectError(.conflict) { try await database.forget(due, folders: [tenant.folder]) }
            _ = try await admin.perform(TenantRemove(tenant: "acme", keepDays: 0))
            #expect(try await database.beginDeletion(of: due))
            await expectError(.conflict) { try await admin.perform(TenantRestore(tenant: "acme")) }
            await expectError(.conflict) { try await admin.perform(TenantRemove(tenant: "acme", keepDays: 9)) }
        }
    }

    @Test func aRemovedSubtenantComesBackWithItsMachines() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let tenant = try await provider.tenant("acme", in: provider.repository(), limit: 100)
            let part = try await tenant.subtenant("part", limit: 10)
            let id = try #require(part.subtenant)
            let remove = SubtenantRemove(tenant: "acme", subtenant: "part", keepDays: 1)
            _ = try await admin.perform(remove)
            await expectError(.tenantDisabled) { try await part.session() }
            await expectError(.conflict) {
                try await admin.perform(SubtenantUpdate(tenant: "acme", subtenant: "part", isEnabled: true))
            }
            await expectError(.conflict) {
                try await admin.perform(QuotaSet(tenant: "acme", subtenant: "part", repository: "main", limit: 5))
            }
            await expectError(.notFound) {
                try await provider.database.openSession(
                    device: tenant.device,
                    purpose: .restore,
                    agent: "",
                    subtenant: "part"
                )
            }
            _ = try await admin.perform(SubtenantAdd(tenant: "acme", name: "part"))
            #expect(try await admin.perform(QuotaShow()).map(\.subtenant) == [nil, "part (removed)"])
            // Its name is another's now.
            await expectError(.conflict) {
                try await admin.perform(SubtenantRestore(tenant: "acme", subtenant: id.text))
            }
            _ = try await admin.perform(remove)
            _ = try await admin.perform(SubtenantRestore(tenant: "acme", subtenant: id.text))
            _ = try await part.session()
            #expect(try await admin.perform(QuotaShow()).map(\.subtenant) == [nil, "part"])
            #expect(try await admin.perform(SubtenantList(tenant: "acme")).map(\.id).first == id)
        }
    }
}
