import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

@Suite struct StorageReconciliationTests {
    @Test func endedTicketsAreSettledByWhatIsStored() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 1000)
            let session = try await tenant.session()
            let (done, missing, other) = (object(100), object(200), object(300))
            _ = try await tenant.database.reserve(session, [done, missing, other])
            try await stored.store([done, ObjectRecord(key: other.key, length: 7)], tenant)
            let work = stored.work()
            await work.settleTickets()
            #expect(try await tenant.record().reserved == 600)
            stored.provider.advance(.seconds(81 * 60))
            await work.settleTickets()
            let record = try await tenant.record()
            #expect((record.committed, record.reserved) == (100, 0))
        }
    }

    @Test func anEndedSessionsLeasesComeBack() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 10_000)
            let old = object(500)
            try await stored.store([old], tenant)
            _ = try await stored.work().reconcileNow(tenant.folder)
            stored.provider.advance(.seconds(3600))
            let session = try await tenant.session()
            _ = try await tenant.database.lease(session, bytes: 5000)
            let (told, untold) = (object(1000), object(300))
            try await stored.store([told, untold], tenant)
            _ = try await tenant.database.commit(session, [told])
            try await tenant.database.endSession(session.session)
            await stored.work().reconcileEnded()
            let record = try await tenant.record()
            #expect((record.committed, record.reserved, record.unproven) == (1800, 0, 0))
        }
    }

    @Test func whatCountsTwiceAfterASessionsEndIsListedOnceAllIsQuiet() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 10_000)
            let (database, work) = (tenant.database, stored.work())
            let (ended, running) = (try await tenant.session(), try await tenant.session())
            _ = try await database.lease(ended, bytes: 5000)
            let lease = try #require(try await database.lease(running, bytes: 300, isExact: true).grant).lease
            let untold = object(300)
            try await stored.store([untold], tenant)
            try await database.endSession(ended.session)
            await work.reconcileEnded()
            _ = try await database.commit(running, [untold])
            // Nobody knew whose it was.
            #expect(try await tenant.record().committed == 600)
            await work.reconcileDaily()
            #expect(try await tenant.record().committed == 600)
            _ = try await database.settle(running, [LeaseSettlement(lease: lease, used: 300)])
            await work.reconcileDaily()
            let record = try await tenant.record()
            #expect((record.committed, record.reserved) == (300, 0))
        }
    }

    @Test func byHandItSettlesEndedSessionsAndLeavesRunningOnesAlone() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 10_000)
            let database = tenant.database
            let (first, second) = (object(1000), object(500))
            let ended = try await tenant.session()
            _ = try await database.lease(ended, bytes: 5000)
            try await stored.store([first], tenant)
            try await database.endSession(ended.session)
            var report = try await stored.work().reconcileNow(tenant.folder)
            #expect((report.stored, report.after, report.isLoose) == (1000, 1000, false))
            #expect(try await tenant.record().reserved == 0)
            // What is stored on a running session's lease would count twice: in the listing, and when it is told.
            let running = try await tenant.session()
            _ = try await database.lease(running, bytes: 600)
            try await stored.store([second], tenant)
            report = try await stored.work().reconcileNow(tenant.folder)
            #expect((report.stored, report.before, report.after) == (1500, 1000, 1000))
            #expect(report.isLoose && report.isDropped && !report.isOver)
            _ = try await database.commit(running, [second])
            #expect(try await tenant.record().committed == 1500)
            // More than it could have stored counts all the same.
            try await stored.store([object(20_000)], tenant)
            report = try await stored.work().reconcileNow(tenant.folder)
            #expect(report.isLoose && !report.isDropped && report.isOver)
            #expect(report.after == 21_500)
        }
    }

    /// After a restore of the database, for one, nobody knows when a snapshot came but the storage.
    @Test func aReplacedSnapshotThatNobodyToldOfHasTheStoragesTime() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let (work, database, clock) = (stored.work(), tenant.database, stored.provider.clock)
            let (untold, told, never) = (key(), key(), key())
            let came = clock.wall
            try await stored.store([ObjectRecord(key: untold.path, length: 10)], tenant)
            stored.provider.advance(.seconds(86_400))
            let session = try await tenant.session()
            let toldAt = clock.wall
            _ = try await database.commit(session, [], before: told)
            stored.provider.advance(.seconds(86_400))
            stored.server.resetCounts()
            for snapshot in [untold, told, never] { try await work.noteArrival(of: snapshot, in: tenant.folder) }
            // What is known already is not asked for.
            #expect(stored.server.requests.map(\.kind) == [.head, .head])
            try await work.noteArrival(of: untold, in: tenant.folder)
            #expect(stored.server.requests.count == 2)

            var expected = [untold: came, told: toldAt]
            for (old, time) in [(untold, came), (told, toldAt), (never, clock.wall)] {
                let new = key()
                _ = try await database.commit(session, [], before: new, replacing: old)
                expected[new] = time
            }
            let receipts = try await database.receipts(tenant.folder, after: nil, limit: 100)
            #expect(receipts.count == expected.count)
            for (snapshot, time) in expected {
                let receipt = receipts.first { $0.snapshot == snapshot.name?.hex }
                #expect(receipt?.receivedAt == time.seconds, "\(snapshot)")
            }
        }
    }

    /// A tenant who stored more than it had leased.
    @Test(arguments: [false, true]) func theCheatIsFound(isSettled: Bool) async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 1000)
            let session = try await tenant.session()
            let (grant, _) = try await tenant.database.lease(session, bytes: 100, isExact: isSettled)
            try await stored.store([object(5000)], tenant)
            if isSettled {
                let lease = try #require(grant).lease
                _ = try await tenant.database.lease(
                    session,
                    bytes: 0,
                    settled: [LeaseSettlement(lease: lease, used: 0)]
                )
            }
            try await tenant.database.endSession(session.session)
            let work = stored.work()
            // With leases left it is found at the session's end, else within a day.
            if isSettled { stored.provider.advance(.seconds(86_400)) }
            if isSettled { await work.reconcileDaily() } else { await work.reconcileEnded() }
            let record = try await tenant.record()
            #expect((record.committed, record.isOver) == (5000, true))
            let next = try await tenant.session()
            await expectError(.quotaExceeded) { try await tenant.database.lease(next, bytes: 1) }
        }
    }

    @Test func everyFolderIsListedOnceADay() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let work = stored.work()
            await work.reconcileDaily()
            #expect(stored.server.counts[.list] == 0)
            for _ in 0..<2 {
                stored.provider.advance(.seconds(86_400))
                stored.server.resetCounts()
                for _ in 0..<2 { await work.reconcileDaily() }
                #expect(stored.server.counts[.list] == 1)
            }
            #expect(try await tenant.record().reconciled == stored.provider.clock.wall)
        }
    }

    @Test func eachFolderHasItsTimeOfDay() async throws {
        try await StoredTenants.with { stored in
            var folder = try await stored.tenant().record()
            let time = Moment(milliseconds: 20_000 * 86_400_000 + folder.listingTime)
            #expect(folder.isListingDue(time))
            folder.reconciled = time - .seconds(1)
            #expect(!folder.isListingDue(time - .milliseconds(1)))
            #expect(folder.isListingDue(time))
            folder.reconciled = time
            #expect(!folder.isListingDue(time + .seconds(86_399)))
            #expect(folder.isListingDue(time + .seconds(86_400)))
            // The clock was set back.
            #expect(folder.isListingDue(time - .seconds(86_400)))
            let times = Set(
                (0..<100).map { _ in
                    folder.id = .random()
                    return folder.listingTime / 3_600_000
                }
            )
            #expect(times.count > 10)
        }
    }

    @Test func everythingCountsAndOldUploadsAreEnded() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let path = try await stored.path(tenant)
            let strange = ["a b+c%20/ü&<x>", "packs/../x", "repository.json.bak"]
            for key in strange { try await stored.server.store(path + key, [1, 2, 3], in: StoredTenants.bucket) }
            let now = stored.provider.clock.wall
            for (key, age) in [("old", 86_400), ("new", 86_399)] {
                let begun = (now - .seconds(age)).timestamp
                stored.server.begin(upload: path + key, parts: [10, 20], in: StoredTenants.bucket, at: begun)
            }
            let report = try await stored.work().reconcileNow(tenant.folder)
            #expect((report.objects, report.stored) == (3, 9))
            #expect((report.unfinishedUploads, report.unfinishedBytes, report.after) == (1, 30, 39))
            #expect(Set(report.foreign) == Set(strange))
            #expect(stored.server.uploads(in: StoredTenants.bucket) == [path + "new"])
            #expect(try await tenant.database.auditEntries(limit: 10).contains { $0.action == "upload.abort" })
        }
    }

    @Test func ofVeryManyUploadsMostAreEnded() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let path = try await stored.path(tenant)
            let now = stored.provider.clock.wall.timestamp
            for index in 0..<1203 {
                stored.server.begin(upload: path + "\(index)", parts: [2], in: StoredTenants.bucket, at: now)
            }
            let report = try await stored.work().reconcileNow(tenant.folder)
            #expect((report.unfinishedUploads, report.unfinishedBytes) == (1000, 2000))
            #expect(stored.server.uploads(in: StoredTenants.bucket).count == 1000)
            let entries = try await tenant.database.auditEntries(limit: 10).filter { $0.action == "upload.abort" }
            #expect(entries.map(\.detail) == ["203 unfinished uploads"])
        }
    }

    @Test func afterRecoveryATenantCanWriteAgain() async throws {
        try await StoredTenants.with { stored in
            let provider = stored.provider
            let tenant = try await stored.tenant(limit: 10_000)
            try await stored.store([object(70)], tenant)
            let file = provider.folder.path + "/backup.sqlite"
            try await provider.database.backup(to: file)
            let key = try await provider.folder.key()
            try await provider.database.close()
            try await ConfigurationDatabase.restore(
                from: file,
                to: provider.folder.database,
                key: key,
                clock: provider.clock
            ).close()
            try await provider.reopen()
            let early = try await tenant.session()
            let gone = try await provider.database.addTenant("gone")
            try await provider.database.removeTenant(gone.id, keep: .zero)
            // Nobody is cleared up after before the provider has looked.
            await stored.work().removeTenants()
            #expect(try await provider.database.tenants().count == 2)
            await stored.work().reconcileDaily()
            // Tickets that the database forgot could still be used.
            await expectError(.recovery) { try await tenant.database.lease(early, bytes: 1) }
            provider.advance(.seconds(80 * 60))
            let session = try await tenant.session()
            await stored.work().reconcileDaily()
            _ = try await tenant.database.lease(session, bytes: 1)
            #expect(try await tenant.record().committed == 70)
        }
    }

    @Test(arguments: [false, true]) func aRemovedTenantLeavesNothing(hasVersions: Bool) async throws {
        try await StoredTenants.with(hasVersions: hasVersions) { stored in
            let (tenant, other) = (try await stored.tenant(), try await stored.tenant("other"))
            let part = try await tenant.subtenant("part", limit: nil)
            let path = try await stored.path(tenant)
            let (one, two) = (object(100), object(200))
            for owner in [tenant, part, other] { try await stored.store([one, one, two], owner) }
            try await stored.server.remove(path + one.key, in: StoredTenants.bucket)
            try await stored.server.store(path + "a foreign/key", [1], in: StoredTenants.bucket)
            stored.server.begin(
                upload: path + "upload",
                parts: [10],
                in: StoredTenants.bucket,
                at: stored.provider.clock.wall.timestamp
            )
            let database = tenant.database
            let session = try await tenant.session()
            _ = try await database.commit(session, [one], before: key())
            _ = try await database.reserve(session, [two])
            try await database.beat()
            database.count(MoverUsage(requests: 3, egress: 5), in: part.folder)
            try await database.removeTenant(tenant.tenant, keep: .seconds(60))
            let work = stored.work()
            await work.removeTenants()
            #expect(try await stored.keys(tenant).isEmpty == false)
            stored.provider.advance(.seconds(60))
            // A ticket could still be used.
            await work.removeTenants()
            #expect(try await database.tenants().count == 2)
            stored.provider.advance(.seconds(81 * 60))
            await work.settleTickets()
            await work.removeTenants()
            #expect(try await database.tenants().map(\.name) == ["other"])
            #expect(try await database.folders().map(\.id) == [other.folder])
            #expect(stored.server.uploads(in: StoredTenants.bucket).isEmpty)
            #expect(stored.server.bytesStored == (hasVersions ? 400 : 300))
            #expect(try await database.auditEntries(limit: 1).first?.action == "tenant.forget")
            _ = try await database.verifyAudit()
            // The month is still to be billed.
            let bill = try await AdminService(database, folder: stored.provider.folder)
                .perform(UsageMonth(month: "2026-01"))
            #expect(
                bill.map { [$0.tenant, $0.subtenant] } == [["other", nil], ["tenant", nil], ["tenant", "part"]]
            )
            #expect(bill.map(\.peak) == [0, 100, 0] && bill.map(\.egress) == [0, 0, 5])
            await work.removeTenants()
            #expect(try await stored.keys(other).count == 2)
        }
    }

    @Test func aRemovedSubtenantLeavesNothingAndCountsNoMore() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 1000)
            let part = try await tenant.subtenant("part", limit: 500)
            let (database, work) = (tenant.database, stored.work())
            let (own, other) = (object(100), object(200))
            for (owner, content) in [(tenant, own), (part, other)] {
                try await stored.store([content], owner)
                let session = try await owner.session()
                _ = try await database.commit(session, [content])
                _ = try await database.lease(session, bytes: 50)
            }
            try await database.beat()
            let path = try await stored.path(part)
            try await database.removeSubtenant(#require(part.subtenant), keep: .seconds(60))
            let next = try await tenant.subtenant("part", limit: 10)
            await work.removeTenants()
            #expect(try await stored.keys(part) == [other.key])
            #expect(try await tenant.record().belowCommitted == 200)
            stored.provider.advance(.seconds(60))
            await work.removeTenants()
            #expect(stored.server.keys(in: StoredTenants.bucket, prefix: path) == [])
            #expect(try await stored.keys(tenant) == [own.key])
            let record = try await tenant.record()
            #expect((record.used, record.belowReserved) == (100, 0))
            #expect(try await Set(database.folders().map(\.id)) == [tenant.folder, next.folder])
            #expect(try await database.subtenants(of: tenant.tenant).map(\.id) == [next.subtenant])
            #expect(try await Set(database.devices().map(\.id)) == [tenant.device, next.device])
            #expect(try await database.auditEntries(limit: 1).first?.action == "subtenant.forget")
            let bill = try await AdminService(database, folder: stored.provider.folder)
                .perform(UsageMonth(month: "2026-01"))
            #expect(bill.map { [$0.tenant, $0.subtenant] } == [["tenant", nil], ["tenant", "part"]])
            #expect(bill.map(\.peak) == [100, 200])
            await work.removeTenants()
            _ = try await tenant.session()
            _ = try await next.session()
        }
    }

    @Test func aStorageThatRefusesThisMachinesTimeIsNoticed() async throws {
        try await TestProvider.with { provider in
            try await StoredTenants.withServer(provider, maximumClockSkew: .seconds(900)) { server in
                let repository = try await StoredTenants.addRepository("main", provider, server)
                let stored = StoredTenants(
                    provider: provider,
                    server: server,
                    repository: repository,
                    log: ServerLog()
                )
                let (tenant, work) = (try await stored.tenant(), stored.work())
                // The storage has the test's time, requests the machine's: they are corrected all the same.
                _ = try await work.reconcileNow(tenant.folder)
                let ahead = try #require(work.clocksAhead[repository.storage])
                #expect(abs(ahead.components.seconds) > 900)
                provider.jumpWall(seconds: ahead.components.seconds)
                _ = try await work.reconcileNow(tenant.folder)
                #expect(work.clocksAhead.isEmpty)
            }
        }
    }
}
