import HawserControl
import HawserTesting
import Synchronization
import Testing

@testable import HawserGateway

@Suite("Places for requests")
struct FairSlotsTests {
    private final class Order: Sendable {
        let tenants = Mutex<[ControlID]>([])
    }

    @Test("A tenant with one request goes before one that has many waiting")
    func fairness() async throws {
        let slots = FairSlots(total: 8)
        let (many, few) = (ControlID.random(), ControlID.random())
        let others = (0..<7).map { _ in ControlID.random() }
        for tenant in others + [many] { try await slots.take(tenant) }
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tenant in [many, many, many, few] {
                let waiting = slots.waiting
                group.addTask {
                    try await slots.take(tenant)
                    order.tenants.withLock { $0.append(tenant) }
                    slots.give(tenant)
                }
                while slots.waiting == waiting { await Task.yield() }
            }
            slots.give(others[0])
            try await group.waitForAll()
        }
        #expect(order.tenants.withLock { $0.first } == few)
        slots.give(many)
        for tenant in others[1...] { slots.give(tenant) }
        #expect(slots.used == 0)
    }

    @Test("One tenant has a quarter of the places at most, however many are free")
    func share() async throws {
        let slots = FairSlots(total: 8)
        let (slow, other) = (ControlID.random(), ControlID.random())
        for _ in 0..<2 { try await slots.take(slow) }
        let waiting = Task { try await slots.take(slow) }
        while slots.waiting == 0 { await Task.yield() }
        try await slots.take(other)
        slots.give(other)
        #expect(slots.waiting == 1)
        slots.give(slow)
        try await waiting.value
        #expect(slots.used == 2)
    }

    @Test("Who is cancelled while waiting holds nothing")
    func cancelled() async throws {
        let slots = FairSlots(total: 1)
        let tenant = ControlID.random()
        try await slots.take(tenant)
        let waiting = Task { try await slots.take(tenant) }
        while slots.waiting == 0 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        slots.give(tenant)
        #expect(slots.used == 0)
        try await slots.take(tenant)
        #expect(slots.used == 1)
    }
}
