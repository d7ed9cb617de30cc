import GRDB
import HawserControl
import HawserFormat
import HawserStorage
import HawserTesting
import Synchronization
import Testing

@testable import HawserProvider

@Suite struct LedgerTests {
    @Test func reserveStoreSettle() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let session = try await tenant.session()
            let (grant, quota) = try await provider.database.lease(session, bytes: 300, isExact: true)
            let lease = try #require(grant)
            #expect(lease.bytes == 300)
            #expect(lease.expiresIn == .seconds(900))
            #expect(quota == QuotaState(limit: 1000, used: 0, reserved: 300))
            let after = try await provider.database.settle(session, [LeaseSettlement(lease: lease.lease, used: 200)])
            #expect(after == QuotaState(limit: 1000, used: 200, reserved: 0))
            // Told again it changes nothing.
            let again = try await provider.database.settle(session, [LeaseSettlement(lease: lease.lease, used: 200)])
            #expect(again == after)
        }
    }

    @Test func aClientsWordGivesNothingBack() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let session = try await tenant.session()
            let lease = try #require(try await provider.database.lease(session, bytes: 300).grant?.lease)
            let told = try await provider.database.settle(session, [LeaseSettlement(lease: lease, used: 100)])
            #expect(told == QuotaState(limit: 1000, used: 100, reserved: 200))
            provider.advance(.seconds(900))
            try await provider.database.beat()
            let folder = try await tenant.record()
            #expect((folder.committed, folder.reserved, folder.unproven) == (300, 0, 200))
            // It said so late: the bytes are booked already.
            _ = try await provider.database.settle(session, [LeaseSettlement(lease: lease, used: 300)])
            #expect(try await tenant.record().committed == 300)
        }
    }

    @Test func theSameIdIsTheSameLease() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let session = try await tenant.session()
            let id = ControlID.random()
            let first = try await provider.database.lease(session, lease: id, bytes: 300).grant
            provider.advance(.seconds(60))
            let second = try await provider.database.lease(session, lease: id, bytes: 300).grant
            #expect(first?.lease == id)
            #expect(second?.bytes == 300)
            #expect(second?.expiresIn == .seconds(840))
            #expect(try await tenant.record().reserved == 300)
            let other = try await tenant.session()
            await expectError(.conflict) { try await provider.database.lease(other, lease: id, bytes: 1) }
        }
    }

    @Test func refusalsSayHowMuchIsLeft() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let session = try await tenant.session()
            let first = try #require(try await provider.database.lease(session, bytes: 700).grant?.lease)
            // What is settled along with a refused request stays settled.
            let error = await expectError(.quotaExceeded) {
                try await provider.database.lease(
                    session,
                    bytes: 301,
                    settled: [LeaseSettlement(lease: first, used: 650)]
                )
            }
            #expect(error?.cause as? AccountShortage == AccountShortage(asked: 301, free: 300, isTenants: true))
            #expect(error?.isRetryable == false)
            #expect(try await tenant.record().committed == 650)
            _ = try await provider.database.lease(session, bytes: 300)
            await expectError(.quotaExceeded) { try await provider.database.lease(session, bytes: 1) }
            await expectError(.invalidArgument) { try await provider.database.lease(session, bytes: -1) }
            await expectError(.invalidArgument) { try await provider.database.lease(session, bytes: .max) }
        }
    }

    @Test func leasesGrowWithTheRateAndLeaveSomething() {
        let settings = LedgerSettings()
        #expect(settings.leaseSize(needed: 10, rate: 0, free: 1000, sessions: 1) == 10)
        #expect(settings.leaseSize(needed: 10, rate: 10, free: 1000, sessions: 1) == 300)
        #expect(settings.leaseSize(needed: 10, rate: 1000, free: 1000, sessions: 1) == 500)
        #expect(settings.leaseSize(needed: 10, rate: 1000, free: 1000, sessions: 5) == 100)
        #expect(settings.leaseSize(needed: 900, rate: 1000, free: 1000, sessions: 5) == 900)
        #expect(settings.leaseSize(needed: 10, rate: .max, free: nil, sessions: 1) == 1 << 40)
        #expect(settings.leaseSize(needed: 10, rate: -5, free: nil, sessions: 0) == 10)
    }

    @Test func aSessionHasSoManyLeasesAndNoMore() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<LedgerSettings.mostLeases {
                    group.addTask { _ = try await provider.database.lease(session, bytes: 10) }
                }
                try await group.waitForAll()
            }
            let error = await expectError(.tooManyRequests) { try await provider.database.lease(session, bytes: 10) }
            #expect(error?.isRetryable == true)
            // Another session of the tenant does not notice, and what was stored can still be told.
            _ = try await provider.database.lease(tenant.session(), bytes: 10)
            _ = try await provider.database.commit(session, (0..<500).map { _ in object(15) })
            #expect(try await tenant.record().committed == 7500)
            provider.advance(.seconds(900))
            try await provider.database.beat()
            _ = try await provider.database.lease(session, bytes: 10)
        }
    }

    @Test func othersAreAskedBeforeOneIsRefused() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let one = try await tenant.session()
            let two = try await tenant.session()
            let lease = try #require(try await provider.database.lease(one, bytes: 900, isExact: true).grant?.lease)
            var changes = provider.database.feed.changes(tenant: tenant.tenant).makeAsyncIterator()
            let error = await expectError(.quotaExceeded) { try await provider.database.lease(two, bytes: 500) }
            #expect(error?.isRetryable == true)
            #expect(await changes.next() == [.returnUnused(repository: tenant.repository, tenant: tenant.tenant)])
            _ = try await provider.database.settle(one, [LeaseSettlement(lease: lease, used: 100)])
            _ = try await provider.database.lease(two, bytes: 500)
        }
    }

    /// Whatever a client without a limit tells: the sums end, nobody else's requests fail for it.
    @Test func sumsHaveAnEnd() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: nil)
            let session = try await tenant.session()
            _ = try await database.commit(session, [object(1)])
            try await database.pool.write { db in
                try db.execute(sql: "UPDATE folder SET committed = \(ledgerBound - 1), added = \(ledgerBound - 1)")
                try db.execute(sql: "UPDATE work SET byKeys = \(ledgerBound - 1), byLeases = \(ledgerBound - 1)")
            }
            _ = try await database.commit(session, (0..<100).map { _ in object(1 << 20) })
            #expect(try await tenant.record().committed == ledgerBound)
            await expectError(.quotaExceeded) { try await database.lease(session, bytes: 1) }
            let other = try await provider.tenant("other", in: repository, limit: nil)
            let theirs = try await other.session()
            #expect(try await database.lease(theirs, bytes: 100).grant?.bytes ?? 0 >= 100)
        }
    }

    // MARK: Objects

    @Test func anObjectCountsOnceWhateverTheWay() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let session = try await tenant.session()
            let database = provider.database
            let one = object(100)
            let lease = try #require(try await database.lease(session, bytes: 100).grant?.lease)
            _ = try await database.commit(session, [one])
            _ = try await database.commit(session, [one, one])
            _ = try await database.settle(session, [LeaseSettlement(lease: lease, used: 100)])
            let folder = try await tenant.record()
            #expect((folder.committed, folder.reserved) == (100, 0))
            // As a ticket it costs nothing either.
            #expect(try await database.reserve(session, [one]) == [.stored])
            // Keys that are none of the format, lengths that can't be.
            for key in ["packs/d/../x", "packs//x", "other", "repository.json", ""] {
                await expectError(.invalidArgument) {
                    try await database.commit(session, [ObjectRecord(key: key, length: 1)])
                }
            }
            await expectError(.invalidArgument) { try await database.commit(session, [object(0)]) }
            await expectError(.invalidArgument) { try await database.commit(session, [object(-5)]) }
        }
    }

    @Test func whatIsStoredCountsEvenBeyondTheLimit() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 100)
            let session = try await tenant.session()
            let (quota, _) = try await provider.database.commit(session, [object(150)])
            #expect(quota.used == 150)
            #expect(quota.free == 0)
        }
    }

    @Test func ticketsHoldToTheByteUntilTheStorageHasTold() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let tenant = try await provider.tenant(in: provider.repository(), limit: 250)
            let session = try await tenant.session()
            let (one, two, three) = (object(100), object(100), object(100))
            let outcomes = try await database.reserve(session, [one, two, three, one])
            #expect(outcomes[0] == .granted(expiresIn: .seconds(900)))
            #expect(outcomes[1] == .granted(expiresIn: .seconds(900)))
            #expect(outcomes[2] == .refused(AccountShortage(asked: 100, free: 50, isTenants: true)))
            #expect(outcomes[3] == outcomes[0])
            #expect(try await tenant.record().reserved == 200)
            _ = try await database.commit(session, [one])
            #expect(try await tenant.record().quota == QuotaState(limit: 250, used: 100, reserved: 100))
            try await database.endSession(session.session)
            // While a PUT that began before the ticket's end may still run, nothing comes back.
            provider.advance(.seconds(900))
            #expect(try await database.endedTickets().isEmpty)
            provider.advance(.seconds(65 * 60))
            let ended = try await database.endedTickets()
            #expect(ended.map(\.key) == [two.key])
            for ticket in ended + ended { try await database.settle(ticket, isStored: false) }
            #expect(try await tenant.record().quota == QuotaState(limit: 250, used: 100, reserved: 0))
            #expect(try await database.endedTickets().isEmpty)
        }
    }

    @Test func anEndedTicketWhoseObjectIsThereIsBooked() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 250)
            let session = try await tenant.session()
            _ = try await provider.database.reserve(session, [object(100)])
            provider.advance(.seconds(80 * 60))
            for ticket in try await provider.database.endedTickets() {
                try await provider.database.settle(ticket, isStored: true)
                try await provider.database.settle(ticket, isStored: false)
            }
            #expect(try await tenant.record().quota == QuotaState(limit: 250, used: 100, reserved: 0))
        }
    }

    @Test func aSnapshotWantsALivingSession() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 250)
            let session = try await tenant.session()
            _ = try await provider.database.commit(session, [], before: key())
            try await provider.database.endSession(session.session)
            await expectError(.sessionOver) { try await provider.database.commit(session, [], before: key()) }
            // What was stored is heard all the same.
            _ = try await provider.database.commit(session, [object(5)])
            #expect(try await tenant.record().committed == 5)
        }
    }

    @Test func readersStoreNothing() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 250)
            for purpose in [Purpose.restore, .check] {
                let session = try await tenant.session(purpose)
                await expectError(.accessDenied) { try await provider.database.lease(session, bytes: 1) }
                await expectError(.accessDenied) { try await provider.database.reserve(session, [object(1)]) }
                await expectError(.accessDenied) { try await provider.database.commit(session, [object(1)]) }
            }
            #expect(try await tenant.record().committed == 0)
        }
    }

    @Test func objectsAreNotedOneByOneUpToABound() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            database.notes.withLock { $0[tenant.folder] = .init(count: 99_999, counted: database.clock.steady) }
            let told = object(5)
            for _ in 0..<2 { _ = try await database.commit(session, [told]) }
            #expect(try await tenant.record().committed == 5)
            // Beyond it objects count all the same, and tickets are refused.
            for _ in 0..<2 { _ = try await database.commit(session, [object(7)]) }
            #expect(try await tenant.record().committed == 19)
            await expectError(.tooManyRequests) { try await database.reserve(session, [object(1)]) }
            // After a minute they are counted, and there were not so many.
            provider.advance(.seconds(60))
            #expect(try await database.reserve(session, [object(1)]) == [.granted(expiresIn: .seconds(900))])
            #expect(database.notes.withLock { $0[tenant.folder]?.count } == 2)
        }
    }

    @Test func anothersFolderIsOutOfReach() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 250)
            let part = try await tenant.subtenant("part", limit: 10)
            let other = try await provider.tenant("other", in: repository, limit: 250)
            // A subtenant's session, the tenant's folder.
            var target = try await part.session()
            target.subtenant = nil
            await expectError(.accessDenied) { try await provider.database.lease(target, bytes: 1) }
            // A session under another tenant's name.
            var foreign = try await other.session()
            foreign.tenant = tenant.tenant
            await expectError(.sessionOver) { try await provider.database.lease(foreign, bytes: 1) }
            var nowhere = try await tenant.session()
            nowhere.repository = .random()
            await expectError(.notFound) { try await provider.database.lease(nowhere, bytes: 1) }
            // The tenant's own session reaches down.
            var down = try await tenant.session(.prune)
            down.subtenant = part.subtenant
            _ = try await provider.database.lease(down, bytes: 5)
            #expect(try await part.record().reserved == 5)
        }
    }

    /// Numbers that a hostile client can tell: none may stop the server.
    @Test func hugeNumbersAreRefused() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            for bytes in [Int.min, -1, 1 << 50 + 1, .max] {
                await expectError(.invalidArgument) { try await database.lease(session, bytes: bytes) }
                await expectError(.invalidArgument) { try await database.commit(session, [object(bytes)]) }
                await expectError(.invalidArgument) { try await database.reserve(session, [object(bytes)]) }
                await expectError(.invalidArgument) {
                    try await database.settle(session, [LeaseSettlement(lease: .random(), used: bytes)])
                }
                await expectError(.invalidArgument) {
                    try await database.reconcile(tenant.folder, listing: listing([object(bytes)]))
                }
            }
            // More than can be counted, in sum.
            try await database.pool.write { db in
                try db.execute(sql: "UPDATE folder SET reserved = 1152921504606846976 - 100")
            }
            await expectError(.quotaExceeded) { try await database.lease(session, bytes: 101) }
            _ = try await database.lease(session, bytes: 100, rate: 0)
            #expect(try await tenant.record().reserved == 1 << 60)
        }
    }

    // MARK: Subtenants

    @Test func aSubtenantCountsAgainstBoth() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let one = try await tenant.subtenant("one", limit: 600)
            let two = try await tenant.subtenant("two", limit: nil)
            let (first, second, own) = (try await one.session(), try await two.session(), try await tenant.session())
            _ = try await provider.database.lease(first, bytes: 500)
            let tight = await expectError(.quotaExceeded) { try await provider.database.lease(first, bytes: 101) }
            #expect(tight?.cause as? AccountShortage == AccountShortage(asked: 101, free: 100, isTenants: false))
            let (_, quota) = try await provider.database.lease(second, bytes: 450)
            // What the subtenant is shown is whatever leaves less.
            #expect(quota == QuotaState(limit: 1000, used: 0, reserved: 950))
            let full = await expectError(.quotaExceeded) { try await provider.database.lease(second, bytes: 51) }
            #expect(full?.cause as? AccountShortage == AccountShortage(asked: 51, free: 50, isTenants: true))
            await expectError(.quotaExceeded) { try await provider.database.lease(own, bytes: 51) }
            _ = try await provider.database.lease(own, bytes: 50)
            let record = try await tenant.record()
            #expect((record.reserved, record.belowReserved) == (50, 950))
        }
    }

    @Test func aSubtenantsWordAloneTakesNothingFromItsTenant() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            let part = try await tenant.subtenant("part", limit: 60)
            let session = try await part.session()
            let lease = try #require(try await provider.database.lease(session, bytes: 40).0)
            _ = try await provider.database.commit(session, [object(maximumObjectLength), object(maximumObjectLength)])
            #expect(try await part.record().quota == QuotaState(limit: 60, used: 60, reserved: 0))
            _ = try await provider.database.lease(
                session,
                bytes: 0,
                settled: [LeaseSettlement(lease: lease.lease, used: 1 << 40)]
            )
            #expect(try await part.record().committed == 60)
            #expect(try await tenant.record().free == 940)
        }
    }

    // MARK: Prune

    @Test func aFullTenantGetsOutByPruning() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let mebibyte = 1 << 20
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000 * mebibyte)
            let backup = try await tenant.session()
            _ = try await database.commit(backup, (0..<11).map { _ in object(100 * mebibyte) })
            await expectError(.quotaExceeded) { try await database.lease(backup, bytes: 1) }
            let prune = try await tenant.session(.prune)
            // 64 MiB is more than 1 % of what is used.
            let lease = try #require(
                try await database.lease(prune, bytes: 40 * mebibyte, isExact: true).grant?.lease
            )
            await expectError(.quotaExceeded) { try await database.lease(prune, bytes: 25 * mebibyte) }
            // The rest comes back, and with it the allowance.
            _ = try await database.settle(prune, [LeaseSettlement(lease: lease, used: 10 * mebibyte)])
            _ = try await database.reserve(prune, [object(54 * mebibyte)])
            await expectError(.quotaExceeded) { try await database.lease(prune, bytes: mebibyte) }
            // What it frees lets it go on.
            try await database.freed(30 * mebibyte, in: tenant.folder)
            _ = try await database.lease(prune, bytes: 30 * mebibyte)
            await expectError(.quotaExceeded) { try await database.lease(prune, bytes: mebibyte) }
            try await database.freed(600 * mebibyte, in: tenant.folder)
            #expect(try await tenant.record().outside == 0)
            _ = try await database.lease(backup, bytes: 200 * mebibyte)
        }
    }

    @Test func aChangedQuotaCountsAtOnce() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: 100)
            let session = try await tenant.session()
            await expectError(.quotaExceeded) { try await provider.database.lease(session, bytes: 101) }
            var changes = provider.database.feed.changes().makeAsyncIterator()
            _ = try await provider.database.setQuota(
                tenant: tenant.tenant,
                repository: tenant.repository,
                limit: 200
            )
            #expect(await changes.next() == [.tenant(tenant.tenant)])
            _ = try await provider.database.lease(session, bytes: 101)
            _ = try await provider.database.setQuota(tenant: tenant.tenant, repository: tenant.repository, limit: 50)
            await expectError(.quotaExceeded) { try await provider.database.lease(session, bytes: 1) }
            #expect(try await tenant.record().quota.free == 0)
            await expectError(.invalidArgument) {
                try await provider.database.setQuota(tenant: tenant.tenant, repository: tenant.repository, limit: -1)
            }
        }
    }
}
