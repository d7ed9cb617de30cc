import Synchronization

/// Counts connections, in total and for each address, against their limits.
package final class ConnectionCounter: Sendable {
    private struct State {
        var total = 0
        var byAddress: [IPAddress: Int] = [:]
    }

    private let limits: ServerLimits
    private let state = Mutex(State())

    package init(_ limits: ServerLimits) {
        self.limits = limits
    }

    package var total: Int { state.withLock { $0.total } }

    /// Takes a place in total; `false` when there is none.
    func enter() -> Bool {
        state.withLock { state in
            guard state.total < limits.connections else { return false }
            state.total += 1
            return true
        }
    }

    func leave() {
        state.withLock { $0.total -= 1 }
    }

    /// Takes a place of the address; `false` when there is none.
    func enter(_ address: IPAddress) -> Bool {
        guard !limits.exempts(address) else { return true }
        return state.withLock { state in
            guard state.byAddress[address.subscriber, default: 0] < limits.connectionsPerAddress else { return false }
            state.byAddress[address.subscriber, default: 0] += 1
            return true
        }
    }

    func leave(_ address: IPAddress) {
        guard !limits.exempts(address) else { return }
        state.withLock { state in
            let left = state.byAddress[address.subscriber, default: 1] - 1
            state.byAddress[address.subscriber] = left > 0 ? left : nil
        }
    }
}
