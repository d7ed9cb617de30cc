import GRDB
import HawserControl
import HawserFormat
import HawserTesting
import Testing

@testable import HawserProvider

@Suite struct ReconciliationTests {
    @Test func theListingCorrectsTheLedger() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let database = provider.database
            let session = try await tenant.session()
            let (one, two) = (object(100), object(200))
            _ = try await database.commit(session, [one, two])
            // One is gone, and something else is there: a foreign key, an unfinished upload.
            let foreign = ObjectRecord(key: "ext/rclone.bin", length: 50)
            let report = try await database.reconcile(
                tenant.folder,
                listing: listing([two, foreign]),
                unfinished: UnfinishedUploads(count: 1, bytes: 7)
            )
            #expect((report.objects, report.stored, report.unfinishedUploads, report.unfinishedBytes) == (2, 250, 1, 7))
            #expect((report.before, report.after, report.difference) == (300, 257, -43))
            #expect(report.foreign == ["ext/rclone.bin"])
            #expect(!report.isOver)
            #expect(try await tenant.record().committed == 257)
            #expect(try await tenant.record().reconciled != nil)
            #expect(try await database.auditEntries(limit: 1).first?.action == "ledger.corrected")
            let again = try await database.reconcile(tenant.folder, listing: listing([two, foreign]))
            #expect(again.after == 250)
        }
    }

    @Test func whoIsOverIsFlagged() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let part = try await tenant.subtenant("part", limit: nil)
            let session = try await tenant.session()
            var changes = provider.database.feed.changes(tenant: tenant.tenant).makeAsyncIterator()
            // A client that stored without asking.
            let report = try await provider.database.reconcile(part.folder, listing: listing([object(1500)]))
            #expect(report.isOver)
            #expect(await changes.next() == [.tenant(tenant.tenant)])
            #expect(try await tenant.record().isOver)
            #expect(try await tenant.record().belowCommitted == 1500)
            await expectError(.quotaExceeded) { try await provider.database.lease(session, bytes: 1) }
            try await provider.database.freed(600, in: part.folder)
            #expect(try await !tenant.record().isOver)
            _ = try await provider.database.lease(session, bytes: 1)
        }
    }

    /// What is stored and told while the listing runs counts once when the listing shows it, and counts when not.
    @Test func whatComesDuringTheListingCountsOnce() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let database = provider.database
            let session = try await tenant.session()
            let (old, seen, unseen, ticketed) = (object(1000), object(100), object(10), object(1))
            _ = try await database.commit(session, [old])
            _ = try await database.reserve(session, [ticketed])
            let report = try await database.reconcile(
                tenant.folder,
                listing: Steps([old, seen, ticketed]) { index in
                    switch index {
                    case 0: _ = try await database.commit(session, [seen, unseen])
                    default: break
                    }
                }
            )
            #expect(report.after == 1000 + 100 + 1 + 10)
            // The listing has seen the ticket's object before it was told.
            #expect(try await tenant.record().reserved == 1)
            _ = try await database.commit(session, [ticketed])
            let record = try await tenant.record()
            #expect((record.committed, record.reserved) == (1111, 0))
        }
    }

    /// What a gateway server tells of a block after the listing has seen it.
    @Test func aListingBesideLeasesIsDroppedUntilItIsOverdue() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 10_000)
            let database = provider.database
            let session = try await tenant.session()
            let (stored, next) = (object(500), object(500))
            @Sendable func list(_ objects: [ObjectRecord]) async throws -> ReconciliationReport {
                let (grant, _) = try await database.lease(session, bytes: 500, isExact: true)
                let lease = try #require(grant).lease
                return try await database.reconcile(
                    tenant.folder,
                    listing: Steps(objects) { _ in
                        let settled = [LeaseSettlement(lease: lease, used: 500)]
                        _ = try await database.lease(session, bytes: 0, settled: settled)
                    },
                    needsQuiet: true
                )
            }
            await #expect(throws: ListingDisturbed.self) { try await list([stored]) }
            #expect(try await tenant.record().committed == 500)
            // More than the leases were for: found beside them too, and counted rather twice than never.
            #expect(try await list([stored, next, object(600)]).after == 2100)
            await #expect(throws: ListingDisturbed.self) { try await list([stored, next]) }
            provider.advance(.seconds(3 * 86_400))
            let late = try await tenant.session()
            let (grant, _) = try await database.lease(late, bytes: 10, isExact: true)
            #expect(grant != nil)
            let report = try await database.reconcile(tenant.folder, listing: listing([stored]), needsQuiet: true)
            #expect(report.after == 500)
        }
    }

    @Test func aBrokenListingChangesNothing() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let database = provider.database
            let session = try await tenant.session()
            let ticketed = object(100)
            _ = try await database.reserve(session, [ticketed])
            _ = try await database.commit(session, [object(1000)])
            let many = [ticketed] + (0..<600).map { _ in object(1) }
            await expectError(.unavailable) {
                try await database.reconcile(
                    tenant.folder,
                    listing: Steps(many) { index in
                        if index == 550 { throw HawserError(.unavailable, "the storage is gone") }
                    }
                )
            }
            #expect(try await tenant.record().committed == 1000)
            _ = try await database.commit(session, [ticketed])
            #expect(try await tenant.record().committed == 1100)
            // The next one is not kept out by it.
            _ = try await database.reconcile(tenant.folder, listing: listing([ticketed]))
        }
    }

    @Test func oneListingAtATime() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let database = provider.database
            _ = try await database.reconcile(
                tenant.folder,
                listing: Steps([object(1)]) { _ in
                    await expectError(.conflict) { try await database.reconcile(tenant.folder, listing: listing([])) }
                }
            )
        }
    }

    @Test func anEndedSessionGetsItsUnusedBytesBack() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 10_000)
            let database = provider.database
            let session = try await tenant.session()
            _ = try await database.lease(session, bytes: 5000)
            let (told, untold) = (object(1000), object(300))
            _ = try await database.commit(session, [told])
            #expect(try await database.unprovenWork().isEmpty)
            try await database.endSession(session.session)
            let work = try #require(try await database.unprovenWork().first)
            #expect(work.target == session)
            #expect(try await database.told([told, untold], in: tenant.folder) == [told.key])
            #expect(try await database.reconcile(work, unknown: untold.length + 50) == 4000 - 350)
            let record = try await tenant.record()
            #expect((record.committed, record.reserved, record.unproven) == (1350, 0, 0))
            #expect(try await database.unprovenWork().isEmpty)
            let running = try await tenant.session()
            _ = try await database.lease(running, bytes: 10)
            let early = UnprovenWork(target: running, folder: tenant.folder, opened: work.opened)
            await expectError(.conflict) { try await database.reconcile(early, unknown: 0) }
        }
    }

    /// What the storage alone counts is not zero, and the bill says so.
    @Test(
        arguments: [
            (RepositorySettings(mode: .gateway, access: .tickets), []), (RepositorySettings(access: .provider), []),
            (RepositorySettings(access: .tickets), [.egress]),
            (RepositorySettings(access: .sts), [.requests, .egress]),
            (RepositorySettings(access: .shared), [.requests, .egress]),
        ] as [(RepositorySettings, [UsageMonth.Uncounted])]
    )
    func billsSayWhatIsNotCounted(_ settings: RepositorySettings, _ uncounted: [UsageMonth.Uncounted]) async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository("main", settings), limit: nil)
            provider.database.count(MoverUsage(requests: 2), in: tenant.folder)
            let service = AdminService(provider.database, folder: provider.folder)
            let lines = try await service.perform(UsageMonth(month: "2026-01"))
            #expect(lines.map(\.uncounted) == [uncounted])
        }
    }

    @Test func usageIsSampledByDay() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            for step in 0..<4 {
                try await provider.database.beat()
                try await provider.database.beat()
                if step < 3 { _ = try await provider.database.commit(session, [object(100)]) }
                provider.advance(.seconds(step == 2 ? 86_400 : 3600))
                provider.database.count(MoverUsage(requests: 2, egress: 5), in: tenant.folder)
                // Of a folder that is gone.
                provider.database.count(MoverUsage(requests: 1), in: .random())
            }
            try await provider.database.beat()
            let days = try await provider.database.usage(from: "2026-01-01", through: "2026-01-31")
            #expect(days.map(\.day) == ["2026-01-01", "2026-01-02"])
            #expect(days.map(\.samples) == [3, 2])
            #expect(days.map(\.requests) == [4, 4])
            #expect(days.map(\.average) == [100, 300])
            #expect(days.map(\.peak) == [200, 300])
            let service = AdminService(provider.database, folder: provider.folder)
            let lines = try await service.perform(UsageMonth(month: "2026-01"))
            #expect(lines.map(\.average) == [200])
            #expect(lines.map(\.peak) == [300])
            #expect(lines.map(\.requests) == [8] && lines.map(\.egress) == [20])
            #expect(lines.map(\.uncounted) == [[]])
            await expectError(.invalidArgument) { try await service.perform(UsageMonth(month: "2026-13")) }
        }
    }
}

/// A listing during which things happen.
struct Steps: AsyncSequence, Sendable {
    typealias Element = ListedObject
    let objects: [ObjectRecord]
    let before: @Sendable (Int) async throws -> Void

    init(_ objects: [ObjectRecord], before: @escaping @Sendable (Int) async throws -> Void) {
        self.objects = objects
        self.before = before
    }

    func makeAsyncIterator() -> Iterator { Iterator(steps: self) }

    struct Iterator: AsyncIteratorProtocol {
        let steps: Steps
        var index = 0

        mutating func next() async throws -> ListedObject? {
            guard index < steps.objects.count else { return nil }
            defer { index += 1 }
            try await steps.before(index)
            return ListedObject(steps.objects[index])
        }
    }
}
