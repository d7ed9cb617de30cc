import Foundation
import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserControl

@Suite("The quota monitor")
struct QuotaMonitorTests {
    private let world = World()
    private var provider: FakeProvider { world.provider }
    private static let unit = 1 << 20

    private func code(_ body: () async throws -> Void) async -> HawserError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HawserError)?.code
        }
    }

    private func limit(_ mebibytes: Int?) {
        provider.state.withLock { $0.quota = QuotaState(limit: mebibytes.map { $0 * Self.unit }, used: 0, reserved: 0) }
    }

    private func withMonitor<Result: Sendable>(
        _ body: @escaping @Sendable (QuotaMonitor, ProviderConnection) async throws -> Result
    ) async throws -> Result {
        let connection = world.connection()
        return try await connection.whileRunning { [provider] in
            try await withQuotaMonitor(connection, repository: provider.repository) { try await body($0, connection) }
        }
    }

    private func key(_ kind: ObjectKind, _ seed: UInt64) -> ObjectKey { TestObject(kind, length: 8, seed: seed).key }
    private func key(_ seed: UInt64) -> ObjectKey { key(.dataPack, seed) }

    @Test("leases, reports and settles to the byte")
    func books() async throws {
        limit(1000)
        try await withMonitor { monitor, _ in
            for seed in 0..<20 as Range<UInt64> {
                let lease = try await monitor.reserve(10 * Self.unit, for: key(seed))
                if seed % 5 == 0 { await monitor.release(lease) } else { await monitor.commit(lease) }
            }
        }
        let (quota, objects, leases) = provider.state.withLock { ($0.quota, $0.objects, $0.leases) }
        #expect(quota.used == 160 * Self.unit)
        #expect(quota.reserved == 0)
        #expect(objects.count == 16)
        #expect(leases.values.allSatisfy { $0.used != nil })
    }

    @Test("does not let the pipeline wait for the provider in good times")
    func aheadOfNeed() async throws {
        let gate = Gate()
        try await withMonitor { monitor, _ in
            let first = try await monitor.reserve(20 * Self.unit, for: key(1))
            await monitor.commit(first)
            // The next request hangs at the provider: there is room all the same.
            provider.fail("POST /v1/repositories/*/commits", .held(gate))
            for seed in 2..<5 as Range<UInt64> {
                await monitor.commit(try await monitor.reserve(12 * Self.unit, for: key(seed)))
            }
            gate.open()
        }
        #expect(provider.state.withLock { $0.asks.count } >= 2)
    }

    @Test("goes on with what it has while the provider is away, and waits when that is used up")
    func away() async throws {
        try await withMonitor { monitor, connection in
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(1)))
            provider.state.withLock { $0.dead = ["gw1:6180", "gw2:6180"] }
            provider.breakStreams()
            _ = try await connection.first {
                if case .away = $0.phase { return true }
                return false
            }
            await monitor.commit(try await monitor.reserve(60 * Self.unit, for: key(2)))
            async let waiting = monitor.reserve(60 * Self.unit, for: key(3))
            provider.state.withLock { $0.dead = [] }
            await monitor.commit(try await waiting)
            #expect(connection.status.link >= 2)
        }
        #expect(provider.state.withLock { $0.objects.count } == 3)
        #expect(provider.state.withLock { $0.quota.reserved } == 0)
    }

    @Test("books a lease once when the answer is lost")
    func lostAnswer() async throws {
        limit(300)
        provider.fail("POST /v1/repositories/*/leases", .answerLost)
        try await withMonitor { monitor, _ in
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(1)))
        }
        #expect(provider.allFired)
        #expect(provider.state.withLock { $0.quota.used } == Self.unit)
        #expect(provider.state.withLock { $0.quota.reserved } == 0)
        #expect(provider.state.withLock { $0.leases.count } == 1)
    }

    @Test("never stores more than there is in a race for the last bytes, and asks no more than needed")
    func race() async throws {
        limit(100)
        let stored = try await withMonitor { monitor, _ in
            await withTaskGroup(of: Int.self) { group in
                for seed in 0..<40 as Range<UInt64> {
                    group.addTask {
                        guard let lease = try? await monitor.reserve(5 * Self.unit, for: key(seed)) else { return 0 }
                        await monitor.commit(lease)
                        return lease.bytes
                    }
                }
                return await group.reduce(0, +)
            }
        }
        // All but the reserve for metadata, which is one object more or less.
        #expect((60 * Self.unit...68 * Self.unit).contains(stored))
        #expect(provider.state.withLock { $0.quota.used } == stored)
        #expect(provider.state.withLock { $0.asks.count } <= 40)
    }

    @Test("leaves room for the metadata when the quota is used up")
    func closing() async throws {
        limit(50)
        try await withMonitor { monitor, _ in
            let result = await code {
                for seed in 0..<100 as Range<UInt64> {
                    await monitor.commit(try await monitor.reserve(4 * Self.unit, for: key(seed)))
                }
            }
            #expect(result == .quotaExceeded)
            let asks = provider.state.withLock { $0.asks.count }
            for seed in 0..<100 as Range<UInt64> {
                #expect(await code { _ = try await monitor.reserve(5 * Self.unit, for: key(seed)) } == .quotaExceeded)
            }
            #expect(provider.state.withLock { $0.asks.count } <= asks + 1)
            await monitor.commit(try await monitor.reserve(30 * Self.unit, for: key(.metadataPack, 1)))
            try await monitor.permit(key(.snapshot, 2))
            await monitor.commit(try await monitor.reserve(1000, for: key(.snapshot, 2)))
        }
        #expect(provider.state.withLock { $0.quota.used } <= 50 * Self.unit)
    }

    @Test("gives back what another session needs")
    func returning() async throws {
        limit(1000)
        try await withMonitor { monitor, connection in
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(1)))
            let before = provider.state.withLock { $0.quota.reserved }
            #expect(before > 32 * Self.unit)
            provider.send(.returnUnused(repository: provider.repository))
            while provider.state.withLock({ $0.quota.reserved }) != 32 * Self.unit { await Task.yield() }
        }
        #expect(provider.state.withLock { $0.quota.used } == Self.unit)
    }

    @Test("reports everything, in order, before a snapshot is allowed")
    func permit() async throws {
        try await withMonitor { monitor, _ in
            for seed in 0..<1500 as Range<UInt64> {
                await monitor.commit(try await monitor.reserve(10, for: key(seed)))
            }
            try await monitor.permit(key(.snapshot, 1))
            #expect(provider.state.withLock { $0.objects.count } == 1500)
            #expect(provider.state.withLock { $0.snapshots } == [key(.snapshot, 1).path])
        }
    }

    @Test("allows no snapshot in a session that the work did not begin in, until its packs were proved again")
    func changedSession() async throws {
        try await withMonitor { monitor, connection in
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(1)))
            let first = try await connection.link(1)
            provider.state.withLock { $0.sessions = [:] }
            provider.breakStreams()
            _ = try await connection.first { $0.session != first.session }
            let snapshot = key(.snapshot, 1)
            #expect(await code { try await monitor.permit(snapshot) } == .sessionOver)
            #expect(provider.state.withLock { $0.snapshots } == [])
            // Whoever asks again has proved it; another has not.
            #expect(await code { try await monitor.permit(key(.snapshot, 2)) } == .sessionOver)
            try await monitor.permit(snapshot)
            // Data goes on.
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(3)))
        }
        #expect(provider.state.withLock { $0.objects.count } == 2)
    }

    @Test("ends all who wait when the contract is over")
    func leaseOver() async throws {
        limit(50)
        provider.fail("POST /v1/repositories/*/leases", .problem(ControlProblem(.leaseOver, "over")))
        let result = await code {
            try await withMonitor { monitor, _ in
                let inner = await code { _ = try await monitor.reserve(Self.unit, for: key(1)) }
                #expect(inner == .leaseOver)
                try? await Gate().pass()
            }
        }
        #expect(result == .leaseOver)
        #expect(provider.allFired)
    }

    @Test("forgets who is cancelled while waiting, and settles at the end of a cancelled job")
    func cancellation() async throws {
        let gate = Gate()
        provider.fail("POST /v1/repositories/*/leases", .held(gate))
        try await withMonitor { monitor, _ in
            let waiting = Task { try await monitor.reserve(Self.unit, for: key(1)) }
            try await gate.waitForArrivals(1)
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            gate.open()
            await monitor.commit(try await monitor.reserve(Self.unit, for: key(2)))
        }
        #expect(provider.state.withLock { $0.quota.used } == Self.unit)
        #expect(provider.state.withLock { $0.quota.reserved } == 0)

        let stored = Gate()
        let job = Task {
            try await withMonitor { monitor, _ in
                await monitor.commit(try await monitor.reserve(Self.unit, for: key(3)))
                _ = try? await stored.pass()
            }
        }
        try await stored.waitForArrivals(1)
        job.cancel()
        _ = await job.result
        #expect(provider.state.withLock { $0.quota.used } == 2 * Self.unit)
        #expect(provider.state.withLock { $0.quota.reserved } == 0)
    }
}
