public import HawserControl
import Synchronization

/// Spreads changes inside the process. Nobody who is slow holds up others: what a subscriber has not fetched yet is
/// kept once each, and beyond a bound becomes one `general`.
public final class ChangeFeed: Sendable {
    // A listing or a change of settings concerns thousands of tenants at once; one `general` would make all of them ask.
    static let bound = 65_536

    private struct Pending {
        /// In their order, each once.
        var changes: [ProviderChange] = []
        private var known: Set<ProviderChange> = []

        mutating func add(_ change: ProviderChange) {
            guard changes != [.general], known.insert(change).inserted else { return }
            if changes.count < ChangeFeed.bound { changes.append(change) } else { (changes, known) = ([.general], []) }
        }
    }

    private final class Subscriber: Sendable {
        let pending = Mutex(Pending())
        let signal: AsyncStream<Void>.Continuation

        init(_ signal: AsyncStream<Void>.Continuation) {
            self.signal = signal
        }

        func add(_ change: ProviderChange) {
            pending.withLock { $0.add(change) }
            signal.yield()
        }
    }

    private struct State {
        var next = 0
        var all: [Int: Subscriber] = [:]
        var byTenant: [ControlID: [Int: Subscriber]] = [:]
    }

    private let state = Mutex(State())

    init() {}

    func publish(_ changes: some Sequence<ProviderChange>) {
        for change in changes {
            let subscribers = state.withLock { state in
                var concerned = Array(state.all.values)
                if let tenant = change.tenant {
                    concerned += state.byTenant[tenant].map { Array($0.values) } ?? []
                } else {
                    concerned += state.byTenant.values.flatMap(\.values)
                }
                return concerned
            }
            for subscriber in subscribers { subscriber.add(change) }
        }
    }

    /// The changes from now on, in batches. Ends with the task that reads it.
    ///
    /// - Parameter tenant: `nil` for those of all tenants.
    public func changes(tenant: ControlID? = nil) -> AsyncStream<[ProviderChange]> {
        let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let subscriber = Subscriber(signal)
        let id = state.withLock { state in
            state.next += 1
            if let tenant {
                state.byTenant[tenant, default: [:]][state.next] = subscriber
            } else {
                state.all[state.next] = subscriber
            }
            return state.next
        }
        signal.onTermination = { [weak self] _ in self?.remove(id, tenant) }
        return AsyncStream {
            for await _ in signals {
                let pending = subscriber.pending.withLock { pending in
                    defer { pending = Pending() }
                    return pending.changes
                }
                if !pending.isEmpty { return pending }
            }
            return nil
        } onCancel: {
            signal.finish()
        }
    }

    private func remove(_ id: Int, _ tenant: ControlID?) {
        state.withLock { state in
            state.all[id] = nil
            guard let tenant else { return }
            state.byTenant[tenant]?[id] = nil
            if state.byTenant[tenant]?.isEmpty == true { state.byTenant[tenant] = nil }
        }
    }
}
