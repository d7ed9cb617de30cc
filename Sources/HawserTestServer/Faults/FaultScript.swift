import HawserTesting
import Synchronization

/// The faults of a server, and how often each happened.
final class FaultScript: Sendable {
    private struct Entry {
        var fault: ServerFault
        /// How many requests matched.
        var matches = 0
        var fired = 0
    }

    private let entries = Mutex<[Entry]>([])

    func add(_ fault: ServerFault) {
        entries.withLock { $0.append(Entry(fault: fault)) }
    }

    func removeAll() {
        entries.withLock { $0 = [] }
    }

    var fired: [String: Int] {
        entries.withLock { entries in
            Dictionary(entries.map { ($0.fault.name, $0.fired) }, uniquingKeysWith: +).filter { $0.value > 0 }
        }
    }

    var neverFired: [String] {
        entries.withLock { entries in entries.filter { $0.fired == 0 }.map(\.fault.name) }
    }

    func fire(_ request: RequestRecord) -> FaultEffects {
        entries.withLock { entries in
            var effects: [ServerFault.Effect] = []
            for index in entries.indices {
                let fault = entries[index].fault
                guard fault.kinds.isEmpty || fault.kinds.contains(request.kind), fault.keys.contains(request.key),
                    fault.host == nil || fault.host == request.host
                else { continue }
                entries[index].matches += 1
                guard fault.occurrence.contains(entries[index].matches) else { continue }
                entries[index].fired += 1
                effects.append(fault.effect)
            }
            return FaultEffects(effects)
        }
    }
}
