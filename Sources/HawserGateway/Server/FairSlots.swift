import HawserControl
import HawserFormat
import NIOCore
import Synchronization

/// Bounds how many requests run at one time and how many wait, and with that the memory: each holds a fixed amount.
///
/// One tenant has a quarter of the places at most, so that nobody who is slow on purpose takes them all. One repository has
/// three quarters, so that its storage, when it stalls, leaves some to the tenants of others. Of the tenants that wait, the one
/// with the fewest running requests goes next; of one tenant's, the first.
final class FairSlots: Sendable {
    private struct Waiter {
        let number: Int
        let repository: ControlID
        let since: NIODeadline
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        let total: Int
        var used = 0
        var waitingCount = 0
        var running: [ControlID: Int] = [:]
        var ofRepository: [ControlID: Int] = [:]
        var waiting: [ControlID: [Waiter]] = [:]
        var number = 0

        /// A quarter.
        var share: Int { max(1, total / 4) }

        func hasRoom(_ tenant: ControlID, _ repository: ControlID) -> Bool {
            used < total && running[tenant, default: 0] < share
                && ofRepository[repository, default: 0] < max(1, total - share)
        }

        mutating func take(_ tenant: ControlID, _ repository: ControlID) {
            used += 1
            running[tenant, default: 0] += 1
            ofRepository[repository, default: 0] += 1
        }

        mutating func give(_ tenant: ControlID, _ repository: ControlID) {
            used -= 1
            running[tenant, default: 1] -= 1
            if running[tenant] == 0 { running[tenant] = nil }
            ofRepository[repository, default: 1] -= 1
            if ofRepository[repository] == 0 { ofRepository[repository] = nil }
        }

        mutating func add(_ waiter: Waiter, of tenant: ControlID) {
            waiting[tenant, default: []].append(waiter)
            waitingCount += 1
        }

        mutating func remove(_ tenant: ControlID, at index: Int) -> Waiter? {
            waitingCount -= 1
            let waiter = waiting[tenant]?.remove(at: index)
            if waiting[tenant]?.isEmpty == true { waiting[tenant] = nil }
            return waiter
        }

        /// Who goes on, now that there may be room.
        mutating func next() -> Waiter? {
            guard used < total else { return nil }
            var chosen: (tenant: ControlID, index: Int, running: Int, number: Int)?
            for (tenant, queue) in waiting {
                let count = running[tenant, default: 0]
                guard let index = queue.firstIndex(where: { hasRoom(tenant, $0.repository) }) else { continue }
                let number = queue[index].number
                if let known = chosen, (known.running, known.number) < (count, number) { continue }
                chosen = (tenant, index, count, number)
            }
            guard let chosen, let waiter = remove(chosen.tenant, at: chosen.index) else { return nil }
            take(chosen.tenant, waiter.repository)
            return waiter
        }
    }

    // Before the tenant's own patience ends (60 s): an answer spares it to wonder whether anybody is there.
    private static let longestWait = TimeAmount.seconds(45)
    let total: Int
    /// That wait, of all tenants together: eight for each place. One holds a tenth of what a running request does.
    private let mostWaiting: Int
    private let state: Mutex<State>

    init(total: Int) {
        self.total = total
        mostWaiting = max(128, total * 8)
        state = Mutex(State(total: total))
    }

    var used: Int { state.withLock { $0.used } }
    var waiting: Int { state.withLock { $0.waitingCount } }

    func withSlot<Result>(of mover: Mover, _ body: () async throws -> Result) async throws -> Result {
        try await take(mover.tenant, mover.repository)
        defer { give(mover.tenant, mover.repository) }
        return try await body()
    }

    /// - Throws: `tooManyRequests` when too many wait already, or it has waited too long.
    func take(_ tenant: ControlID, _ repository: ControlID, now: NIODeadline = .now()) async throws {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let answer: Result<Void, any Error>? = state.withLock { state in
                    if state.hasRoom(tenant, repository) {
                        state.take(tenant, repository)
                        return .success(())
                    }
                    guard state.waitingCount < mostWaiting,
                        state.waiting[tenant, default: []].count < mostWaiting / 4
                    else { return .failure(Self.crowded) }
                    state.add(
                        Waiter(number: number, repository: repository, since: now, continuation: continuation),
                        of: tenant
                    )
                    return nil
                }
                if let answer { continuation.resume(with: answer) }
                // It may have been cancelled before it waited.
                if answer == nil, Task.isCancelled { cancel(tenant, number) }
            }
        } onCancel: {
            cancel(tenant, number)
        }
    }

    private static let crowded = HawserError(
        .tooManyRequests,
        "The gateway server has more requests than places. Wait a moment.",
        isRetryable: true,
        retryAfter: .seconds(1)
    )

    private func cancel(_ tenant: ControlID, _ number: Int) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting[tenant]?.firstIndex(where: { $0.number == number }) else { return nil }
            return state.remove(tenant, at: index)
        }
        waiter?.continuation.resume(throwing: CancellationError())
    }

    /// Sends away who has waited too long; to be called every few seconds.
    func expire(now: NIODeadline = .now()) {
        let late = state.withLock { state in
            var late: [Waiter] = []
            for tenant in state.waiting.keys {
                // They came one after the other.
                while let first = state.waiting[tenant]?.first, first.since + Self.longestWait <= now {
                    if let waiter = state.remove(tenant, at: 0) { late.append(waiter) }
                }
            }
            return late
        }
        for waiter in late { waiter.continuation.resume(throwing: Self.crowded) }
    }

    func give(_ tenant: ControlID, _ repository: ControlID) {
        let next = state.withLock { state in
            state.give(tenant, repository)
            // It may have held up two: one of the tenant, one of the repository.
            var next: [Waiter] = []
            while let waiter = state.next() { next.append(waiter) }
            return next
        }
        for waiter in next { waiter.continuation.resume() }
    }
}
