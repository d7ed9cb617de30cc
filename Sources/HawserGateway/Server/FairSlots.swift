import HawserControl
import HawserFormat
import NIOCore
import Synchronization

/// Bounds how many requests run at one time and how many wait, and with that the memory: each holds a fixed amount.
///
/// One tenant has a quarter of the places at most, so that nobody who is slow on purpose takes them all. One repository has
/// three quarters, so that its storage, when it stalls, leaves some to the tenants of others. Of the tenants that wait, the one
/// with the fewest running requests goes next; of one tenant's, the first. When too many wait, who has most of them loses its
/// newest.
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
        var running: [ControlID: Int] = [:]
        var ofRepository: [ControlID: Int] = [:]
        var waiting: [ControlID: [Waiter]] = [:]
        var number = 0

        var waitingCount: Int { waiting.values.reduce(0) { $0 + $1.count } }

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

        mutating func remove(_ tenant: ControlID, at index: Int) -> Waiter? {
            let waiter = waiting[tenant]?.remove(at: index)
            if waiting[tenant]?.isEmpty == true { waiting[tenant] = nil }
            return waiter
        }

        /// Makes room for one more that waits: the newest of the tenant with the most, when that has more than `tenant`.
        mutating func evict(for tenant: ControlID) -> Waiter? {
            let count = waiting[tenant, default: []].count
            guard let (most, queue) = waiting.max(by: { $0.value.count < $1.value.count }), queue.count > count + 1
            else { return nil }
            return remove(most, at: queue.count - 1)
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
    private static let crowded = HawserError(
        .tooManyRequests,
        "The gateway server has more requests than places. Wait a moment.",
        isRetryable: true,
        retryAfter: .seconds(1)
    )

    /// How many requests of all tenants together may wait: eight for each place. One holds three reads (64 KiB each) of its body.
    private let mostWaiting: Int
    private let state: Mutex<State>

    init(total: Int) {
        mostWaiting = max(128, total * 8)
        state = Mutex(State(total: total))
    }

    var total: Int { state.withLock { $0.total } }
    var used: Int { state.withLock { $0.used } }
    var waiting: Int { state.withLock { $0.waitingCount } }

    /// - Parameter channel: of who asks; whose connection is closed waits no more.
    func withSlot<Result>(
        of mover: Mover,
        _ channel: any Channel,
        _ body: () async throws -> Result
    ) async throws -> Result {
        try await take(mover.tenant, in: mover.repository, channel)
        defer { give(mover.tenant, in: mover.repository) }
        return try await body()
    }

    /// - Throws: `tooManyRequests` when too many wait already, or it has waited too long.
    func take(
        _ tenant: ControlID,
        in repository: ControlID,
        _ channel: (any Channel)? = nil,
        now: NIODeadline = .now()
    ) async throws {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let (answer, evicted): (Result<Void, any Error>?, Waiter?) = state.withLock { state in
                    if state.hasRoom(tenant, repository) {
                        state.take(tenant, repository)
                        return (.success(()), nil)
                    }
                    var evicted: Waiter?
                    if state.waitingCount >= mostWaiting {
                        evicted = state.evict(for: tenant)
                        if evicted == nil { return (.failure(Self.crowded), nil) }
                    }
                    state.waiting[tenant, default: []].append(
                        Waiter(number: number, repository: repository, since: now, continuation: continuation)
                    )
                    return (nil, evicted)
                }
                evicted?.continuation.resume(throwing: Self.crowded)
                if let answer { return continuation.resume(with: answer) }
                // It may have been cancelled before it waited.
                if Task.isCancelled { cancel(tenant, number) }
                channel?.closeFuture.whenComplete { _ in self.cancel(tenant, number) }
            }
        } onCancel: {
            cancel(tenant, number)
        }
    }

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

    func give(_ tenant: ControlID, in repository: ControlID) {
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
