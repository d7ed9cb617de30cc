import HawserControl
import HawserFormat
import HawserTesting
import NIOCore
import Synchronization
import Testing

@testable import HawserGateway

@Suite("Places for requests")
struct FairSlotsTests {
    // Where it does not matter, each tenant has a repository of its own.
    private final class Order: Sendable {
        let tenants = Mutex<[ControlID]>([])
    }

    @Test("A tenant with one request goes before one that has many waiting")
    func fairness() async throws {
        let slots = FairSlots(total: 8)
        let (many, few) = (ControlID.random(), ControlID.random())
        let others = (0..<7).map { _ in ControlID.random() }
        for tenant in others + [many] { try await slots.take(tenant, tenant) }
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tenant in [many, many, many, few] {
                let waiting = slots.waiting
                group.addTask {
                    try await slots.take(tenant, tenant)
                    order.tenants.withLock { $0.append(tenant) }
                    slots.give(tenant, tenant)
                }
                while slots.waiting == waiting { await Task.yield() }
            }
            slots.give(others[0], others[0])
            try await group.waitForAll()
        }
        #expect(order.tenants.withLock { $0.first } == few)
        slots.give(many, many)
        for tenant in others[1...] { slots.give(tenant, tenant) }
        #expect(slots.used == 0)
    }

    @Test("One tenant has a quarter of the places at most, however many are free")
    func share() async throws {
        let slots = FairSlots(total: 8)
        let (slow, other) = (ControlID.random(), ControlID.random())
        for _ in 0..<2 { try await slots.take(slow, slow) }
        let waiting = Task { try await slots.take(slow, slow) }
        while slots.waiting == 0 { await Task.yield() }
        try await slots.take(other, other)
        slots.give(other, other)
        #expect(slots.waiting == 1)
        slots.give(slow, slow)
        try await waiting.value
        #expect(slots.used == 2)
    }

    @Test("Who is cancelled while waiting holds nothing")
    func cancelled() async throws {
        let slots = FairSlots(total: 1)
        let tenant = ControlID.random()
        try await slots.take(tenant, tenant)
        let waiting = Task { try await slots.take(tenant, tenant) }
        while slots.waiting == 0 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        slots.give(tenant, tenant)
        #expect(slots.used == 0)
        try await slots.take(tenant, tenant)
        #expect(slots.used == 1)
    }

    @Test("A repository whose storage stalls leaves a quarter of the places to others")
    func repositories() async throws {
        let slots = FairSlots(total: 8)
        let (stalled, well) = (ControlID.random(), ControlID.random())
        let tenants = (0..<3).map { _ in ControlID.random() }
        for tenant in tenants + tenants { try await slots.take(tenant, stalled) }
        let fourth = ControlID.random()
        let waiting = Task { try await slots.take(fourth, stalled) }
        while slots.waiting == 0 { await Task.yield() }
        let other = ControlID.random()
        for _ in 0..<2 { try await slots.take(other, well) }
        slots.give(other, well)
        #expect(slots.waiting == 1)
        slots.give(tenants[0], stalled)
        try await waiting.value
    }

    @Test("Who has waited for too long, or comes when too many wait, is told to come back")
    func crowded() async throws {
        let slots = FairSlots(total: 1)
        let tenant = ControlID.random()
        let begin = NIODeadline.uptimeNanoseconds(0)
        try await slots.take(tenant, tenant)
        let waiting = (0..<32).map { _ in
            Task { try await slots.take(tenant, tenant, now: begin) }
        }
        while slots.waiting < 32 { await Task.yield() }
        // A tenant's quarter of those that may wait.
        let crowded = await #expect(throws: HawserError.self) { try await slots.take(tenant, tenant) }
        #expect(crowded?.code == .tooManyRequests)
        let other = ControlID.random()
        let late = Task { try await slots.take(other, other, now: begin + .seconds(30)) }
        while slots.waiting < 33 { await Task.yield() }
        slots.expire(now: begin + .seconds(44))
        #expect(slots.waiting == 33)
        slots.expire(now: begin + .seconds(45))
        #expect(slots.waiting == 1)
        for task in waiting {
            let late = await #expect(throws: HawserError.self) { try await task.value }
            #expect(late?.code == .tooManyRequests)
        }
        slots.give(tenant, tenant)
        try await late.value
    }
}
