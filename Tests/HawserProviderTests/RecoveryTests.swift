import Foundation
import GRDB
import HawserControl
import HawserFormat
import HawserTesting
import Testing

@testable import HawserProvider

@Suite struct RecoveryTests {
    @Test func aRestoredDatabaseStartsInRecovery() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 10_000)
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .prune, agent: "")
            let old = LedgerTarget(opened.session, repository: repository.id)
            let code = try await provider.database.addJoinCode(.device(tenant: tenant.tenant, subtenant: nil))
            _ = try await provider.database.setCredential(
                folder: tenant.folder,
                purpose: .backup,
                Secret([1]),
                lifetime: .seconds(86_400)
            )
            _ = try await provider.database.requestDeletion(old, keys: [object(1).key])
            let file = provider.folder.path + "/backup.sqlite"
            try await provider.database.backup(to: file)
            await expectError(.conflict) { try await provider.database.backup(to: file) }
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            // What happens after the backup is forgotten by it.
            _ = try await provider.database.addTenant("later")
            let key = try await provider.folder.key()
            await expectError(.alreadyRunning) { try await restore(provider, file, key) }
            try await provider.database.close()
            try await restore(provider, file, key).close()
            try await provider.reopen()
            let database = provider.database

            #expect(try await database.tenants().map(\.name) == ["tenant"])
            #expect(try await database.recovery()?.isApproved == false)
            #expect(try await database.storageSecret(repository.storage) != nil)
            // All tokens, codes and credentials are void.
            await expectError(.notSignedIn) { try database.session(token: opened.token) }
            await expectError(.notSignedIn) {
                try await database.registerDevice(code: code, publicKey: randomBytes(32), name: "m")
            }
            #expect(try await database.credential(folder: tenant.folder, purpose: .backup) == nil)
            // Restores are possible, writes are not.
            _ = try await tenant.session(.restore)
            let backup = try await tenant.session()
            await expectError(.recovery) { try await database.lease(backup, bytes: 1) }
            await expectError(.recovery) { try await database.reserve(backup, [object(1)]) }
            // A listing while forgotten tickets may still be used does not open it.
            _ = try await database.reconcile(tenant.folder, listing: listing([object(70)]))
            await expectError(.recovery) { try await database.lease(backup, bytes: 1) }
            provider.advance(.seconds(80 * 60))
            let late = try await tenant.session(.prune)
            await expectError(.recovery) { try await database.lease(late, bytes: 1) }
            _ = try await database.reconcile(tenant.folder, listing: listing([object(70)]))
            _ = try await database.lease(late, bytes: 1)
            #expect(try await tenant.record().committed == 70)
            // Deletions from before wait for a word; new ones don't.
            #expect(try await database.dueDeletions().isEmpty)
            _ = try await database.requestDeletion(late, keys: [object(1).key])
            #expect(try await database.dueDeletions().count == 1)
            try await database.approveRecovery()
            #expect(try await database.dueDeletions().count == 2)
            _ = try await database.verifyAudit()
        }
    }

    @discardableResult
    private func restore(
        _ provider: TestProvider,
        _ file: String,
        _ key: ProviderKey
    ) async throws -> ConfigurationDatabase {
        try await .restore(from: file, to: provider.folder.database, key: key, clock: provider.clock)
    }

    @Test func aRestoreThatFailsLeavesWhatWasThere() async throws {
        try await TestProvider.with { provider in
            _ = try await provider.database.addTenant("one")
            let file = provider.folder.path + "/backup.sqlite"
            try await provider.database.backup(to: file)
            try await provider.database.close()
            await expectError(.wrongProviderKey) { try await restore(provider, file, ProviderKey(.random())) }
            let damaged = provider.folder.path + "/damaged.sqlite"
            try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: damaged))
            let key = try await provider.folder.key()
            await expectError(.damaged) { try await restore(provider, damaged, key) }
            await expectError(.fileSystem) { try await restore(provider, provider.folder.path + "/none", key) }
            try await provider.reopen()
            #expect(try await provider.database.tenants().count == 1)
            #expect(try await provider.database.recovery() == nil)
            await expectError(.notFound) { try await provider.database.approveRecovery() }
        }
    }

    @Test func deletionsWaitForInsiderProtectionAndApproval() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository("main", RepositorySettings(insiderProtectionDays: 7))
            let tenant = try await provider.tenant(in: repository, limit: nil)
            let database = provider.database
            let session = try await tenant.session(.prune)
            let gone = object(500)
            _ = try await database.commit(session, [gone])
            await expectError(.invalidArgument) { try await database.requestDeletion(session, keys: ["../x"]) }
            for purpose in [Purpose.backup, .check] {
                let other = try await tenant.session(purpose)
                await expectError(.accessDenied) { try await database.requestDeletion(other, keys: [gone.key]) }
            }
            let asked = try await database.requestDeletion(session, keys: [gone.key], pending: 500)
            #expect(asked.notBefore - asked.requested == .seconds(7 * 86_400))
            #expect(try await tenant.record().pending == 500)
            #expect(try await database.dueDeletions().isEmpty)
            provider.advance(.seconds(7 * 86_400))
            let due = try #require(try await database.dueDeletions().first)
            #expect(due.keys == [gone.key])
            #expect(try await database.holdSprees(percent: 0, most: 0).map(\.id) == [due.id])
            #expect(try await database.dueDeletions().isEmpty)
            #expect(try await database.heldDeletions().map(\.id) == [due.id])
            try await database.approveDeletion(due.id)
            #expect(try await database.dueDeletions().map(\.id) == [due.id])
            // Done twice, it frees once.
            try await database.finishDeletion(due.id, freed: 500)
            try await database.finishDeletion(due.id, freed: 500)
            let record = try await tenant.record()
            #expect((record.committed, record.pending) == (0, 0))
        }
    }

    @Test func aClockThatIsFarAheadAtAStartEndsNothing() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository("main", RepositorySettings(insiderProtectionDays: 7))
            let tenant = try await provider.tenant(in: repository, limit: nil)
            let removed = try await provider.database.addTenant("removed")
            try await provider.database.removeTenant(removed.id, keep: .seconds(7 * 86_400))
            let session = try await tenant.session(.prune)
            _ = try await provider.database.requestDeletion(session, keys: [object(1).key])
            _ = try await provider.database.setCredential(
                folder: tenant.folder,
                purpose: .restore,
                Secret([1]),
                lifetime: .seconds(14 * 86_400)
            )
            func restart(jump days: Int64) async throws -> AdminService {
                try await provider.database.close()
                provider.jumpWall(seconds: days * 86_400)
                try await provider.reopen()
                return AdminService(provider.database, folder: provider.folder)
            }
            func due() async throws -> [Int] {
                [try await provider.database.dueDeletions().count, try await provider.database.removedOwners().count]
            }
            func isHeld(_ admin: AdminService) async throws -> Bool {
                let codes = try await admin.perform(AlarmList()).map(\.code)
                #expect(!codes.contains("clock") || !codes.contains("clock_held"))
                return codes.contains("clock_held")
            }
            for _ in 0..<2 {
                let wrong = try await restart(jump: 365)
                #expect(try await due() == [0, 0])
                #expect(try await isHeld(wrong))
            }
            // If it was right, they have ended.
            #expect(try await provider.database.credential(folder: tenant.folder, purpose: .restore) == nil)
            let mended = try await restart(jump: -2 * 365)
            #expect(try await due() == [0, 0])
            #expect(try await !isHeld(mended))
            await expectError(.notFound) { try await mended.perform(ClockApprove()) }
            // The server was off for a month.
            let late = try await restart(jump: 30)
            #expect(try await due() == [0, 0])
            _ = try await late.perform(ClockApprove())
            #expect(try await !isHeld(late))
            #expect(try await due() == [0, 0])
            _ = try await restart(jump: 0)
            #expect(try await due() == [1, 1])
            #expect(provider.database.clock.steady == provider.clock.wall)
            _ = try await provider.database.verifyAudit()
            // What it said before is no word about this.
            let wrong = try await restart(jump: 365)
            #expect(try await isHeld(wrong))
        }
    }
}
