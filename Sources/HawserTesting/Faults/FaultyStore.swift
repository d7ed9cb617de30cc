public import HawserFormat
public import HawserStorage
import Synchronization

/// A store around another that fails as a script says, and remembers which faults happened.
public final class FaultyStore: ObjectStore {
    private struct State {
        var faults: [Fault]
        /// How many requests matched each fault.
        var matches: [Int]
        var fired: [Int]
        var bytesPut = 0
        /// In the order of their creation.
        var newest: [ObjectKey] = []
    }

    private let base: any ObjectStore
    private let state: Mutex<State>

    public init(_ base: any ObjectStore, faults: [Fault] = []) {
        self.base = base
        let none = [Int](repeating: 0, count: faults.count)
        state = Mutex(State(faults: faults, matches: none, fired: none))
    }

    /// Adds a fault that counts occurrences from now on.
    public func add(_ fault: Fault) {
        state.withLock { state in
            state.faults.append(fault)
            state.matches.append(0)
            state.fired.append(0)
        }
    }

    /// Names of the faults that happened, with how often.
    public var fired: [String: Int] {
        state.withLock { state in
            Dictionary(zip(state.faults.map(\.name), state.fired), uniquingKeysWith: +).filter { $0.value > 0 }
        }
    }

    /// Throws `ContractViolation` naming the faults that never happened: the test did not test them.
    public func verifyAllFired() throws {
        let missing = state.withLock { state in
            zip(state.faults, state.fired).filter { $0.1 == 0 }.map(\.0.name)
        }
        guard missing.isEmpty else {
            throw ContractViolation("Faults that never happened: \(missing.joined(separator: "; "))")
        }
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        let effects = fire(.put, [key.path], bytes: bytes.count)
        try await before(effects)
        var stored = bytes
        for case .storeTruncated(let count) in effects { stored = Array(stored.prefix(count)) }
        let result = try await base.put(key, stored, sha256: sha256)
        if result == .created {
            state.withLock { state in
                state.bytesPut += stored.count
                state.newest.append(key)
            }
        }
        try await after(effects)
        return result
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        let effects = fire(.get, [key.path])
        try await before(effects)
        var bytes = try await base.get(key, range: range)
        for effect in effects {
            switch effect {
            case .truncate(let count): bytes = Array(bytes.prefix(count))
            case .flip(let bit): bytes = Corpus.flipping(bit: bit, of: bytes)
            case .body(let other): bytes = other
            default: break
            }
        }
        try await after(effects)
        return bytes
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        let effects = fire(.head, [key.path])
        try await before(effects)
        let info = try await base.head(key)
        try await after(effects)
        return info
    }

    public func list(prefix: String, after key: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        let effects = fire(.list, [prefix])
        try await before(effects)
        var hidden: Set<ObjectKey> = []
        for case .hideNewest(let count) in effects { hidden.formUnion(state.withLock { $0.newest.suffix(count) }) }
        let page = try await list(prefix: prefix, after: key, limit: limit, without: hidden)
        try await after(effects)
        return page
    }

    /// Full pages in spite of what is hidden, as the contract wants.
    private func list(
        prefix: String,
        after key: ObjectKey?,
        limit: Int,
        without hidden: Set<ObjectKey>
    ) async throws -> [ObjectInfo] {
        var shown: [ObjectInfo] = []
        var last = key
        while true {
            let page = try await base.list(prefix: prefix, after: last, limit: limit)
            shown += page.filter { !hidden.contains($0.key) }
            last = page.last?.key
            if page.count < limit || shown.count >= limit { return Array(shown.prefix(limit)) }
        }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        let effects = fire(.delete, keys.map(\.path))
        try await before(effects)
        try await base.delete(keys)
        state.withLock { state in
            let deleted = Set(keys)
            state.newest.removeAll { deleted.contains($0) }
        }
        try await after(effects)
    }

    private func fire(_ operation: StoreOperation, _ paths: [String], bytes: Int = 0) -> [Fault.Effect] {
        state.withLock { state in
            var effects: [Fault.Effect] = []
            for (index, fault) in state.faults.enumerated() {
                guard fault.operation == operation, paths.contains(where: fault.keys.contains) else { continue }
                state.matches[index] += 1
                guard fault.occurrence.contains(state.matches[index]) else { continue }
                if case .full(let limit) = fault.effect, state.bytesPut + bytes <= limit { continue }
                state.fired[index] += 1
                effects.append(fault.effect)
            }
            return effects
        }
    }

    private func before(_ effects: [Fault.Effect]) async throws {
        for effect in effects {
            switch effect {
            case .failBefore(let error): throw error
            case .hold(let gate): try await gate.pass()
            case .full: throw HawserError(.storageFull, "The storage is full, as the test asked.")
            default: break
            }
        }
    }

    private func after(_ effects: [Fault.Effect]) async throws {
        for effect in effects {
            switch effect {
            case .failAfter(let error): throw error
            case .holdAnswer(let gate): try await gate.pass()
            default: break
            }
        }
    }
}
