import Foundation
import GRDB
import HawserControl
import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserProvider

@Suite struct DatabaseTests {
    @Test func commitsAreSynced() async throws {
        try await TestProvider.with { provider in
            let (synchronous, mode) = try await provider.database.pool.writeWithoutTransaction { db in
                (
                    try Int.fetchOne(db, sql: "PRAGMA synchronous"),
                    try String.fetchOne(db, sql: "PRAGMA journal_mode")
                )
            }
            #expect(synchronous == 2)
            #expect(mode == "wal")
            for file in try FileManager.default.contentsOfDirectory(atPath: provider.folder.path) {
                let attributes = try FileManager.default.attributesOfItem(atPath: provider.folder.path + "/" + file)
                #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file)")
            }
        }
    }

    @Test func anotherKeyIsRefused() async throws {
        try await TestProvider.with { provider in
            try await provider.database.close()
            let other = try ProviderKey(.random())
            await expectError(.wrongProviderKey) {
                try ConfigurationDatabase.open(provider.folder.database, key: other, clock: provider.clock)
            }
            try await provider.reopen()
        }
    }

    @Test func anEarlierVersionIsTakenAlong() throws {
        let queue = try DatabaseQueue()
        try Schema.migrator.migrate(queue, upTo: "1")
        try queue.write { db in
            try db.execute(
                sql: """
                    PRAGMA defer_foreign_keys = ON;
                    INSERT INTO storage (id, name, settings, created) VALUES ('s', 's', '{}', 0);
                    INSERT INTO repository VALUES ('r', 'r', 's', '{}', 0);
                    INSERT INTO tenant (id, name, isEnabled, settings, created) VALUES ('t', 't', 1, '{}', 0);
                    INSERT INTO subtenant VALUES ('u', 't', 'part 0123456789abcdef0123456789abcdef', 0, 0, 7);
                    INSERT INTO folder (id, repository, tenant, subtenant, epoch) VALUES ('f', 'r', 't', 'u', 0);
                    INSERT INTO usageDay VALUES ('f', '2026-01-01', 1, 5, 5);
                    INSERT INTO device (id, tenant, name, publicKey, created) VALUES ('d', 't', 'd', x'00', 0);
                    INSERT INTO session (id, tenant, device, purpose, agent, token, opened, lastRequest)
                        VALUES ('s', 't', 'd', 'backup', '', x'00', 0, 0);
                    INSERT INTO reservation (session, folder, key, length, state, expires)
                        VALUES ('s', 'f', 'k', 1, 'reserved', 7);
                    """
            )
        }
        try Schema.migrator.migrate(queue)
        try queue.read { db throws in
            #expect(try Bool.fetchOne(db, sql: "SELECT mustRevoke FROM folder WHERE id = 'f'") == false)
            // The ticket may still be in use.
            #expect(try Int.fetchOne(db, sql: "SELECT ticketEnd FROM reservation") == 7)
            #expect(try Int.fetchOne(db, sql: "SELECT backsUpSince FROM device") == 0)
            #expect(try Int.fetchOne(db, sql: "SELECT peak FROM usageDay") == 5)
            // Nobody has said that it may be deleted.
            let removed = try #require(try Row.fetchOne(db, sql: "SELECT * FROM subtenant"))
            let (name, end): (String, Int64) = (removed["name"], removed["deleteAfter"])
            #expect(name == "part" && end == 7 + 36_500 * 86_400_000)
        }
    }

    @Test func addressesOfWebhooksAreSealedAfterwards() throws {
        let queue = try DatabaseQueue()
        try Schema.migrator.migrate(queue, upTo: "3")
        let id = ControlID.random()
        try queue.write { db in
            try db.execute(
                sql: """
                    INSERT INTO webhook (id, url, created) VALUES (?, 'https://alerts.example/token', 5);
                    INSERT INTO webhookEvent (id, webhook, body, created, due) VALUES ('e', ?, '{}', 0, 0);
                    """,
                arguments: [id.text, id.text]
            )
        }
        try Schema.migrator.migrate(queue)
        let key = try ProviderKey(.random())
        let (webhook, url) = try queue.write { db in
            try ConfigurationDatabase.sealWebhooks(key, db)
            let row = try db.row("SELECT *, 0 AS waiting FROM webhook WHERE unsealed IS NULL")
            return (try row.map(WebhookRecord.init), try db.secret("webhook/\(id)/url", key))
        }
        #expect(webhook?.id == id && webhook?.host == "alerts.example")
        #expect(url?.bytes == Array("https://alerts.example/token".utf8))
        try queue.read { db throws in
            #expect(try String.fetchOne(db, sql: "SELECT webhook FROM webhookEvent") == id.text)
        }
    }

    @Test func aLaterVersionIsRefused() async throws {
        try await TestProvider.with { provider in
            try await provider.database.pool.write { db in
                try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('99')")
            }
            try await provider.database.close()
            let error = await expectError(.unsupported) { try await provider.folder.open(clock: provider.clock) }
            #expect(error?.message.contains("later version") == true)
        }
    }

    @Test func filesThatOthersMayReadAreRefused() async throws {
        try await TestProvider.with { provider in
            try await provider.database.close()
            for file in [provider.folder.database, provider.folder.keyFile] {
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
                await expectError(.accessDenied) { try await provider.folder.open(clock: provider.clock) }
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
            }
            try await provider.reopen()
        }
    }

    @Test func whatIsThereIsNotOverwritten() async throws {
        try await TestProvider.with { provider in
            await expectError(.conflict) { try await provider.folder.initialize(clock: provider.clock) }
            #expect(throws: HawserError.self) { try ProviderKey.make(file: provider.folder.keyFile) }
        }
    }

    /// The service, which has a user of its own, has to open what root made or restored for it.
    @Test(.enabled(if: geteuid() == 0, "Giving files away needs root."))
    func whatRootMakesBelongsToTheFoldersOwner() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/hawser-provider-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(mkdir(path, 0o700) == 0 && chown(path, 4242, 4343) == 0)
        func owners() throws -> [String: [Int?]] {
            var owners: [String: [Int?]] = [:]
            for file in try FileManager.default.contentsOfDirectory(atPath: path) {
                let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + file)
                owners[file] = [FileAttributeKey.ownerAccountID, .groupOwnerAccountID].map { attributes[$0] as? Int }
            }
            return owners
        }
        let folder = ProviderFolder(path)
        let database = try await folder.initialize()
        // A copy lies wherever the provider wants it: it stays root's.
        try await database.backup(to: path + "/copy.sqlite")
        try await folder.rotateKey(database, actor: "test")
        try await database.backup(to: path + "/copy-2.sqlite")
        #expect(try owners()["provider.sqlite-wal"] == [4242, 4343])
        try await database.close()
        let restored = try await ConfigurationDatabase.restore(
            from: path + "/copy-2.sqlite",
            to: folder.database,
            key: folder.key()
        )
        try await restored.close()
        let found = try owners()
        #expect(found["copy.sqlite"]?[0] == 0)
        #expect(found["provider.sqlite"] == [4242, 4343])
        #expect(found["provider.key"] == [4242, 4343])
        #expect(found.filter { !$0.key.hasPrefix("copy") }.allSatisfy { $0.value == [4242, 4343] }, "\(found)")
    }

    // MARK: Two servers

    @Test func aSecondServerKeepsOut() async throws {
        try await TestProvider.with { provider in
            await expectError(.alreadyRunning) { try await provider.folder.open(clock: provider.clock) }
            // Its heartbeat ends: it is gone.
            provider.advance(.seconds(61))
            let second = try await provider.folder.open(clock: provider.clock)
            await expectError(.takenOver) { try await provider.database.addTenant("late") }
            #expect(try await second.tenants().isEmpty)
            _ = try await second.addTenant("first")
            try await second.close()
        }
    }

    @Test func whoHasTheWrongKeyTakesNothingOver() async throws {
        try await TestProvider.with { provider in
            let other = try ProviderKey.make(file: provider.folder.path + "/other.key")
            await expectError(.wrongProviderKey) {
                try ConfigurationDatabase.open(
                    provider.folder.database,
                    key: other,
                    takeOver: true,
                    clock: provider.clock
                )
            }
            _ = try await provider.database.addTenant("goes-on")
        }
    }

    @Test func aHeartbeatKeepsTheSecondOut() async throws {
        try await TestProvider.with { provider in
            for _ in 0..<3 {
                provider.advance(.seconds(50))
                try await provider.database.beat()
                await expectError(.alreadyRunning) { try await provider.folder.open(clock: provider.clock) }
            }
            // A clock that was set back does not make the owner look dead.
            provider.jumpWall(seconds: -3600)
            await expectError(.alreadyRunning) { try await provider.folder.open(clock: provider.clock) }
        }
    }

    @Test func whoIsTakenOverWritesNothing() async throws {
        try await TestProvider.with { provider in
            let first = provider.database
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 1000)
            let session = try await tenant.session()
            try await provider.reopen()
            await expectError(.takenOver) { try await first.lease(session, bytes: 10) }
            #expect(try await tenant.record().reserved == 0)
            #expect(try await provider.database.lease(session, bytes: 10).grant?.bytes == 10)
        }
    }

    @Test func aCleanStopLetsTheNextOneIn() async throws {
        try await TestProvider.with { provider in
            try await provider.database.close()
            let next = try await provider.folder.open(clock: provider.clock)
            try await next.close()
            try await provider.reopen()
        }
    }

    @Test func aDeadProcessOfThisMachineIsGone() async throws {
        try await TestProvider.with { provider in
            let child = Process()
            child.executableURL = URL(fileURLWithPath: "/bin/true")
            try child.run()
            child.waitUntilExit()
            let name = ProcessName.current.text.split(separator: "/").dropLast().joined(separator: "/")
            try await provider.database.pool.write { db in
                try db.execute(
                    sql: "UPDATE owner SET process = ?",
                    arguments: ["\(name)/\(child.processIdentifier)"]
                )
            }
            let next = try await provider.folder.open(clock: provider.clock)
            try await next.close()
        }
    }

    // MARK: Disks that fail

    @Test func aFullDiskIsTypedAndHarmless() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: nil)
            let session = try await tenant.session()
            try await provider.database.leaveRoom(pages: 4)
            var granted = 0
            let error = await expectError(.storageFull) {
                for _ in 0..<2000 {
                    _ = try await provider.database.reserve(session, [object(10), object(10), object(10)])
                    granted += 30
                }
            }
            #expect(error?.message.contains("full") == true)
            #expect(granted > 0)
            // All of what was answered, and nothing else.
            #expect(try await tenant.record().reserved == granted)
            try await provider.database.leaveRoom(pages: 1_000_000)
            _ = try await provider.database.reserve(session, [object(10)])
            #expect(try await tenant.record().reserved == granted + 10)
        }
    }

    @Test func aReadOnlyDatabaseIsTyped() async throws {
        try await TestProvider.with { provider in
            try await provider.database.setReadOnly(true)
            await expectError(.accessDenied) { try await provider.database.addTenant("one") }
            try await provider.database.setReadOnly(false)
            _ = try await provider.database.addTenant("one")
        }
    }

    @Test func garbageIsNoDatabase() async throws {
        try await TestProvider.with { provider in
            try await provider.database.close()
            for suffix in ["-wal", "-shm"] {
                try? FileManager.default.removeItem(atPath: provider.folder.database + suffix)
            }
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: provider.folder.database))
            try handle.write(contentsOf: Data(repeating: 0x55, count: 4096))
            try handle.close()
            await expectError(.damaged) { try await provider.folder.open(clock: provider.clock) }
        }
    }

    /// A machine that loses its power shows some earlier state of the files: here copies of database and log, taken at
    /// any moment while many write.
    @Test func everyAnswerIsInEveryLaterCopy() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: nil)
            let session = try await tenant.session()
            // Only the log grows then, so that a copy of both files is one of a moment.
            try await provider.database.pool.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0")
            }
            let answered = Shared<Set<ControlID>>([])
            var copies: [(path: String, leases: Set<ControlID>)] = []
            let database = provider.database
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        for _ in 0..<25 {
                            let lease = try await database.lease(session, bytes: 1).grant?.lease
                            if let lease { answered.withLock { _ = $0.insert(lease) } }
                        }
                    }
                }
                for number in 0..<12 {
                    let target = 30 * (number + 1)
                    while answered.withLock({ $0.count }) < target { await Task.yield() }
                    let path = provider.folder.path + "/copy\(number)"
                    let leases = answered.withLock { $0 }
                    for suffix in ["", "-wal"] {
                        try FileManager.default.copyItem(
                            atPath: provider.folder.database + suffix,
                            toPath: path + suffix
                        )
                    }
                    copies.append((path, leases))
                }
                try await group.waitForAll()
            }
            for (path, leases) in copies {
                let copy = try ConfigurationDatabase.open(
                    path,
                    key: try await provider.folder.key(),
                    takeOver: true,
                    clock: provider.clock
                )
                let kept = try await copy.read { db in try String.fetchSet(db, sql: "SELECT id FROM lease") }
                #expect(Set(leases.map(\.text)).isSubset(of: kept))
                let folder = try await copy.folder(tenant.folder)
                #expect(folder.reserved == kept.count)
                try await copy.close()
            }
            #expect(copies.count == 12)
        }
    }

    // MARK: The steady clock

    @Test func aWallClockThatJumpsEndsNothing() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 1000)
            let opened = try await provider.database.openSession(device: tenant.device, purpose: .backup, agent: "")
            let session = LedgerTarget(opened.session, repository: tenant.repository)
            _ = try await provider.database.lease(session, bytes: 100)
            for jump in [86_400, -2 * 86_400] as [Int64] {
                provider.jumpWall(seconds: jump)
                try await provider.database.beat()
                try await provider.database.endSilentSessions()
                #expect(try provider.database.session(token: opened.token).id == session.session)
                #expect(try await tenant.record().reserved == 100)
            }
            // A restart with a clock that was set back: time does not go back.
            let before = provider.database.clock.steady
            try await provider.database.close()
            try await provider.reopen()
            #expect(provider.database.clock.steady >= before)
            provider.advance(.seconds(15 * 60))
            try await provider.database.beat()
            #expect(try await tenant.record().reserved == 0)
            #expect(try await tenant.record().unproven == 100)
        }
    }
}
