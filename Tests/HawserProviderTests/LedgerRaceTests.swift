import HawserControl
import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserProvider

@Suite struct LedgerRaceTests {
    /// Hundreds of sessions of a tenant and its subtenants race for the last bytes.
    @Test func neverAByteOverAndNothingLeaks() async throws {
        try await TestProvider.with { provider in
            let limit = 60_000
            let tenant = try await provider.tenant(in: provider.repository(), limit: limit)
            let parts = [
                try await tenant.subtenant("one", limit: 20_000), try await tenant.subtenant("two", limit: nil), tenant,
            ]
            let database = provider.database
            let stored = Shared(0)
            let refused = Shared(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        var generator = SplitMix64(seed: UInt64(number))
                        let session = try await parts[number % 3].session()
                        for _ in 0..<6 {
                            let bytes = Int.random(in: 1...900, using: &generator)
                            do {
                                let (grant, quota) = try await database.lease(
                                    session,
                                    bytes: bytes,
                                    rate: Int.random(in: 0...50, using: &generator),
                                    isExact: true
                                )
                                let lease = try #require(grant)
                                #expect(quota.used + quota.reserved <= quota.limit ?? .max)
                                let used = Int.random(in: 0...lease.bytes, using: &generator)
                                let settlement = LeaseSettlement(lease: lease.lease, used: used)
                                stored.withLock { $0 += used }
                                _ = try await database.settle(session, [settlement])
                            } catch let error as HawserError where error.code == .quotaExceeded {
                                refused.withLock { $0 += 1 }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let record = try await tenant.record()
            #expect(refused.withLock { $0 } > 0)
            #expect(record.used == stored.withLock { $0 })
            #expect(record.allReserved == 0)
            #expect(record.used <= limit)
            #expect(try await parts[0].record().used <= 20_000)
            // Down to the last byte.
            let session = try await tenant.session()
            let left = try #require(record.free)
            if left > 0 { _ = try await database.lease(session, bytes: left) }
            await expectError(.quotaExceeded) { try await database.lease(session, bytes: 1) }
            let above = try await database.folders(of: tenant.tenant).filter { $0.subtenant != nil }
            let last = try await tenant.record()
            #expect(last.belowCommitted == above.reduce(0) { $0 + $1.committed })
            #expect(last.belowReserved == above.reduce(0) { $0 + $1.reserved })
        }
    }

    /// Lease, write, crash, expire, a thousand times: what is used never drops below what is stored.
    @Test func crashesNeverGiveBytesBack() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let database = provider.database
            var stored = 0
            for round in 0..<10 {
                let written = try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            var generator = SplitMix64(seed: UInt64(round * 1000 + number))
                            let session = try await tenant.session()
                            let bytes = Int.random(in: 1...1000, using: &generator)
                            let grant = try await database.lease(session, bytes: bytes, isExact: number % 2 == 0).grant
                            let lease = try #require(grant)
                            // Stores some or all of it, and tells less, or nothing.
                            let written = Int.random(in: 0...lease.bytes, using: &generator)
                            if number % 3 == 0 { _ = try await database.commit(session, [object(max(1, written / 2))]) }
                            return max(written, 1)
                        }
                    }
                    return try await group.reduce(0, +)
                }
                stored += written
                #expect(try await tenant.record().committed + tenant.record().reserved >= stored)
                provider.advance(.seconds(15 * 60))
                try await database.endSilentSessions()
                try await database.beat()
                let record = try await tenant.record()
                #expect(record.committed >= stored)
                #expect(record.reserved == 0)
            }
            #expect(database.liveSessions().isEmpty)
        }
    }

    /// Killed at any moment: a process that opens the database finds all that was answered, and no more reserved than
    /// was asked for.
    @Test func aKilledServerLosesNothing() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let first = provider.database
            let answered = Shared(0)
            let failed = Shared(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    let session = try await tenant.session()
                    group.addTask {
                        while true {
                            do {
                                _ = try await first.lease(session, bytes: 10)
                                answered.withLock { $0 += 10 }
                            } catch let error as HawserError where error.code == .takenOver {
                                failed.withLock { $0 += 1 }
                                return
                            }
                        }
                    }
                }
                while answered.withLock({ $0 }) < 1000 { await Task.yield() }
                try await provider.reopen()
                try await group.waitForAll()
            }
            #expect(failed.withLock { $0 } == 20)
            #expect(try await tenant.record().reserved == answered.withLock { $0 })
        }
    }
}
