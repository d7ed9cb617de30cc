import HawserControl
import HawserFormat
import Synchronization

/// Bounds how many requests run at one time, and with that the memory: each holds a fixed amount. One tenant has a quarter of
/// the places at most, so that nobody who is slow on purpose takes them all. Of the tenants that wait, the one with the
/// fewest running requests goes next; of one tenant's, the first.
final class FairSlots: Sendable {
    private struct Waiter {
        let number: Int
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var free: Int
        let share: Int
        var running: [ControlID: Int] = [:]
        var waiting: [ControlID: [Waiter]] = [:]
        var number = 0

        func hasRoom(for tenant: ControlID) -> Bool { free > 0 && running[tenant, default: 0] < share }

        mutating func take(_ tenant: ControlID) {
            free -= 1
            running[tenant, default: 0] += 1
        }

        /// Who goes on, now that there may be room.
        mutating func next() -> Waiter? {
            let chosen = waiting.keys.filter(hasRoom).min { one, other in
                let counts = (running[one, default: 0], running[other, default: 0])
                if counts.0 != counts.1 { return counts.0 < counts.1 }
                return (waiting[one]?.first?.number ?? 0) < (waiting[other]?.first?.number ?? 0)
            }
            guard let tenant = chosen, var queue = waiting[tenant], !queue.isEmpty else { return nil }
            let waiter = queue.removeFirst()
            waiting[tenant] = queue.isEmpty ? nil : queue
            take(tenant)
            return waiter
        }
    }

    let total: Int
    private let state: Mutex<State>

    init(total: Int) {
        self.total = total
        state = Mutex(State(free: total, share: max(1, total / 4)))
    }

    var used: Int { state.withLock { total - $0.free } }
    var waiting: Int { state.withLock { $0.waiting.values.reduce(0) { $0 + $1.count } } }

    func withSlot<Result>(of tenant: ControlID, _ body: () async throws -> Result) async throws -> Result {
        try await take(tenant)
        defer { give(tenant) }
        return try await body()
    }

    func take(_ tenant: ControlID) async throws {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isTaken: Bool = state.withLock { state in
                    if state.hasRoom(for: tenant) {
                        state.take(tenant)
                        return true
                    }
                    state.waiting[tenant, default: []].append(Waiter(number: number, continuation: continuation))
                    return false
                }
                if isTaken { continuation.resume() }
                // It may have been cancelled before it waited.
                if !isTaken, Task.isCancelled { cancel(tenant, number) }
            }
        } onCancel: {
            cancel(tenant, number)
        }
    }

    private func cancel(_ tenant: ControlID, _ number: Int) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting[tenant]?.firstIndex(where: { $0.number == number }) else { return nil }
            let waiter = state.waiting[tenant]?.remove(at: index)
            if state.waiting[tenant]?.isEmpty == true { state.waiting[tenant] = nil }
            return waiter
        }
        waiter?.continuation.resume(throwing: CancellationError())
    }

    func give(_ tenant: ControlID) {
        let next = state.withLock { state -> Waiter? in
            state.free += 1
            let left = state.running[tenant, default: 1] - 1
            state.running[tenant] = left > 0 ? left : nil
            return state.next()
        }
        next?.continuation.resume()
    }
}
