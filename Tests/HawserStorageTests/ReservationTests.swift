import HawserFormat
import HawserTesting
import Testing

@testable import HawserStorage

@Suite("Reservations")
struct ReservationTests {
    @Test("are served in order; a large one is not overtaken")
    func order() {
        var queue = ReservationQueue<String>(total: 10)
        #expect(queue.take(6) == true)
        #expect(queue.take(5) == false)
        queue.wait(id: 1, amount: 9, "large")
        // Would fit, but stands behind.
        #expect(queue.take(1) == false)
        queue.wait(id: 2, amount: 1, "small")
        queue.wait(id: 3, amount: 1, "last")
        #expect(queue.give(4) == [])
        #expect(queue.give(2) == ["large", "small"])
        #expect(queue.used == 10)
        #expect(queue.give(9) == ["last"])
        #expect(queue.give(2) == [])
        #expect(queue.used == 0)
    }

    @Test("a cancelled one leaves, and lets those behind it go on")
    func cancellation() {
        var queue = ReservationQueue<String>(total: 10)
        #expect(queue.take(5) == true)
        queue.wait(id: 1, amount: 10, "large")
        queue.wait(id: 2, amount: 5, "small")
        let result = queue.cancel(id: 1)
        #expect(result?.cancelled == "large")
        #expect(result?.granted == ["small"])
        #expect(queue.used == 10)
        #expect(queue.cancel(id: 1) == nil)
        #expect(queue.cancel(id: 2) == nil)
    }

    @Test("of everything and of nothing are possible")
    func extremes() {
        var queue = ReservationQueue<Int>(total: 3)
        #expect(queue.take(0) == true)
        #expect(queue.take(3) == true)
        #expect(queue.take(0) == true)
        queue.wait(id: 1, amount: 3, 1)
        #expect(queue.give(0) == [])
        #expect(queue.give(3) == [1])
    }

    @Test("behave as a simple model does, for any sequence of requests", arguments: 0..<20 as Range<UInt64>)
    func model(_ seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let total = Int.random(in: 1...50, using: &generator)
        var queue = ReservationQueue<UInt64>(total: total)
        var held: [UInt64: Int] = [:]
        var waiting: [(id: UInt64, amount: Int)] = []

        func grantInModel() -> [UInt64] {
            var granted: [UInt64] = []
            while let first = waiting.first, held.values.reduce(0, +) + first.amount <= total {
                held[first.id] = first.amount
                granted.append(first.id)
                waiting.removeFirst()
            }
            return granted
        }

        for id in 0..<2_000 as Range<UInt64> {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                let amount = Int.random(in: 0...total, using: &generator)
                let fits = waiting.isEmpty && held.values.reduce(0, +) + amount <= total
                #expect(queue.take(amount) == fits)
                if fits {
                    held[id] = amount
                } else {
                    queue.wait(id: id, amount: amount, id)
                    waiting.append((id, amount))
                }
            case 2:
                guard let (holder, amount) = held.min(by: { $0.key < $1.key }) else { continue }
                held[holder] = nil
                #expect(queue.give(amount) == grantInModel())
            default:
                let candidate = waiting.randomElement(using: &generator)?.id ?? id
                let wasWaiting = waiting.contains { $0.id == candidate }
                waiting.removeAll { $0.id == candidate }
                let result = queue.cancel(id: candidate)
                #expect(result?.cancelled == (wasWaiting ? candidate : nil))
                #expect(result?.granted ?? [] == grantInModel())
            }
            #expect(queue.used == held.values.reduce(0, +))
            #expect(queue.waitingCount == waiting.count)
        }
    }

    @Test("of bytes never exceed the budget")
    func bound() async throws {
        let budget = ByteBudget(total: 1_000)
        try await withThrowingTaskGroup { group in
            for index in 0..<200 {
                group.addTask {
                    try await budget.withReservation(1 + index * 5) {
                        #expect(budget.used <= 1_000)
                        await Task.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(budget.used == 0)
        #expect(budget.waitingCount == 0)
    }

    @Test("that could never be served are refused")
    func refused() async throws {
        let budget = ByteBudget(total: 100)
        for bytes in [101, Int.max, -1] {
            await #expect { try await budget.reserve(bytes) } throws: { ($0 as? HawserError)?.code == .invalidArgument }
        }
        #expect(budget.used == 0)
        try await budget.reserve(100)
        budget.release(60)
        #expect(budget.used == 40)
    }

    @Test("end when the task is cancelled while it waits")
    func cancelledWaiting() async throws {
        let budget = ByteBudget(total: 10)
        try await budget.reserve(10)
        let waiting = (0..<20).map { _ in Task { try await budget.reserve(5) } }
        while budget.waitingCount < 20 { await Task.yield() }
        for task in waiting[1...] { task.cancel() }
        for task in waiting[1...] { await #expect(throws: CancellationError.self) { try await task.value } }
        #expect(budget.waitingCount == 1)
        budget.release(10)
        try await waiting[0].value
        #expect(budget.used == 5)
    }

    @Test("of a cancelled task take nothing")
    func cancelledBefore() async throws {
        let budget = ByteBudget(total: 10)
        let gate = Gate()
        let task = Task {
            try? await gate.pass()
            try await budget.reserve(5)
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(budget.used == 0)
    }

    @Test("stay exact when cancellation and release race")
    func races() async throws {
        let budget = ByteBudget(total: 4)
        await withTaskGroup { group in
            for index in 0..<500 {
                group.addTask {
                    let task = Task {
                        try await budget.withReservation(1 + index % 4) { await Task.yield() }
                    }
                    if index.isMultiple(of: 3) { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(budget.used == 0)
        #expect(budget.waitingCount == 0)
    }
}
