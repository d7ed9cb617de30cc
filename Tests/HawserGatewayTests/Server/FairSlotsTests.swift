import HawserControl
import HawserFormat
import HawserTesting
import NIOCore
import Synchronization
import Testing

@testable import HawserGateway

// Where it does not matter, each tenant has a repository of its own.
@Suite("Places for requests", .timeLimit(.minutes(10)))
struct FairSlotsTests {
    private final class Order: Sendable {
        let tenants = Mutex<[ControlID]>([])
    }

    @Test("A tenant with one request goes before one that has many waiting")
    func fairness() async throws {
        let slots = FairSlots(total: 8)
        let (many, few) = (ControlID.random(), ControlID.random())
        let others = (0..<7).map { _ in ControlID.random() }
        for tenant in others + [many] { try await slots.take(tenant, in: tenant) }
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tenant in [many, many, many, few] {
                let waiting = slots.waiting
                group.addTask {
                    try await slots.take(tenant, in: tenant)
                    order.tenants.withLock { $0.append(tenant) }
                    slots.give(tenant, in: tenant)
                }
                while slots.waiting == waiting { await Task.yield() }
            }
            slots.give(others[0], in: others[0])
            try await group.waitForAll()
        }
        #expect(order.tenants.withLock { $0.first } == few)
        slots.give(many, in: many)
        for tenant in others[1...] { slots.give(tenant, in: tenant) }
        #expect(slots.used == 0)
    }

    @Test("One tenant has a quarter of the places at most, however many are free")
    func share() async throws {
        let slots = FairSlots(total: 8)
        let (slow, other) = (ControlID.random(), ControlID.random())
        for _ in 0..<2 { try await slots.take(slow, in: slow) }
        async let waiting: Void = slots.take(slow, in: slow)
        while slots.waiting == 0 { await Task.yield() }
        try await slots.take(other, in: other)
        slots.give(other, in: other)
        #expect(slots.waiting == 1)
        slots.give(slow, in: slow)
        try await waiting
        #expect(slots.used == 2)
    }

    @Test("Who is cancelled while waiting holds nothing")
    func cancelled() async throws {
        let slots = FairSlots(total: 1)
        let tenant = ControlID.random()
        try await slots.take(tenant, in: tenant)
        let waiting = Task { try await slots.take(tenant, in: tenant) }
        while slots.waiting == 0 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        slots.give(tenant, in: tenant)
        #expect(slots.used == 0)
        try await slots.take(tenant, in: tenant)
        #expect(slots.used == 1)
    }

    @Test("A repository whose storage stalls leaves a quarter of the places to others")
    func repositories() async throws {
        let slots = FairSlots(total: 8)
        let (stalled, well) = (ControlID.random(), ControlID.random())
        let tenants = (0..<3).map { _ in ControlID.random() }
        for tenant in tenants + tenants { try await slots.take(tenant, in: stalled) }
        let fourth = ControlID.random()
        async let waiting: Void = slots.take(fourth, in: stalled)
        while slots.waiting == 0 { await Task.yield() }
        let other = ControlID.random()
        for _ in 0..<2 { try await slots.take(other, in: well) }
        slots.give(other, in: well)
        #expect(slots.waiting == 1)
        slots.give(tenants[0], in: stalled)
        try await waiting
    }

    @Test("Who has waited for too long, or comes when too many wait, is told to come back")
    func crowded() async throws {
        let slots = FairSlots(total: 1)
        let tenant = ControlID.random()
        let begin = NIODeadline.uptimeNanoseconds(0)
        try await slots.take(tenant, in: tenant)
        try await withThrowingTaskGroup(of: HawserError.Code?.self) { group in
            for _ in 0..<128 {
                group.addTask {
                    let error = await #expect(throws: HawserError.self) {
                        try await slots.take(tenant, in: tenant, now: begin)
                    }
                    return error?.code
                }
            }
            while slots.waiting < 128 { await Task.yield() }
            let crowded = await #expect(throws: HawserError.self) { try await slots.take(tenant, in: tenant) }
            #expect(crowded?.code == .tooManyRequests)
            // Who has fewer waiting takes the seat of one who has many.
            let other = ControlID.random()
            async let late: Void = slots.take(other, in: other, now: begin + .seconds(30))
            #expect(try await group.next() == .tooManyRequests)
            slots.expire(now: begin + .seconds(44))
            #expect(slots.waiting == 128)
            slots.expire(now: begin + .seconds(45))
            #expect(slots.waiting == 1)
            for try await code in group { #expect(code == .tooManyRequests) }
            slots.give(tenant, in: tenant)
            try await late
        }
    }
}
