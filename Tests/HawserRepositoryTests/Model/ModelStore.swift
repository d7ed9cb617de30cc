import HawserFormat
import HawserStorage
import Synchronization

/// What a process of the model sees of the storage: requests take their time, fail, lose their answers, and end when the
/// process is killed.
final class ModelStore: ObjectStore {
    struct Killed: Error {}

    private let base: MemoryStore
    private let simulation: Simulation
    /// Requests until the kill.
    private let left: Mutex<Int>
    private let isSlow: Bool
    private let sleepsLong: Bool
    private let note: @Sendable (String) -> Void

    /// - Parameters:
    ///   - killedAfter: requests; `nil` for a process that lives.
    ///   - isSlow: others do much between two requests.
    ///   - sleepsLong: a laptop that is closed for days.
    ///   - note: is told of all that changes.
    init(
        _ base: MemoryStore,
        _ simulation: Simulation,
        killedAfter: Int?,
        isSlow: Bool,
        sleepsLong: Bool,
        note: @escaping @Sendable (String) -> Void
    ) {
        self.note = note
        self.base = base
        self.simulation = simulation
        self.isSlow = isSlow
        self.sleepsLong = sleepsLong
        left = Mutex(killedAfter ?? .max)
    }

    /// - Returns: whether the process is killed in the middle of this request.
    private func begin() async throws -> Bool {
        let left = self.left.withLock { left in
            if left > 0, left < .max { left -= 1 }
            return left
        }
        // A killed process does nothing any more, whatever its tasks go on to ask for.
        if left == 0 { return true }
        if simulation.chance(isSlow ? 60 : 5) {
            await simulation.sleep(Int64(simulation.random(0..<(isSlow ? 300 : 60))))
        }
        if simulation.chance(2) { await simulation.sleep(Int64(simulation.random(0..<7_200))) }
        // A laptop that is closed.
        if sleepsLong, simulation.chance(0.3) { await simulation.sleep(Int64(simulation.random(0..<12 * 86_400))) }
        if simulation.chance(1) { throw HawserError(.unavailable, "failed", isRetryable: true) }
        return self.left.withLock { $0 == 0 }
    }

    private func end() throws {
        if left.withLock({ $0 == 0 }) { throw Killed() }
        if simulation.chance(1) { throw HawserError(.unavailable, "the answer was lost", isRetryable: true) }
    }

    private var isDead: Bool { left.withLock { $0 == 0 } }

    func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        let wasDead = isDead
        if try await begin(), wasDead || simulation.chance(50) { throw Killed() }
        let result = try await base.put(key, bytes, sha256: sha256)
        note("puts \(Self.short(key))")
        try end()
        return result
    }

    func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        if try await begin() { throw Killed() }
        let bytes = try await base.get(key, range: range)
        try end()
        return bytes
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        if try await begin() { throw Killed() }
        let info = try await base.head(key)
        try end()
        return info
    }

    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        if try await begin() { throw Killed() }
        let page = try await base.list(prefix: prefix, after: after, limit: limit)
        try end()
        return page
    }

    func delete(_ keys: [ObjectKey]) async throws {
        let wasDead = isDead
        guard try await begin() else {
            try await base.delete(keys)
            note("deletes \(keys.map(Self.short).joined(separator: ", "))")
            return try end()
        }
        // Some of them.
        if !wasDead {
            let some = Array(keys.shuffled().prefix(simulation.random(0..<keys.count + 1)))
            try await base.delete(some)
            note("deletes \(some.map(Self.short).joined(separator: ", ")), killed")
        }
        throw Killed()
    }

    /// Enough of a key to find it again.
    private static func short(_ key: ObjectKey) -> String {
        key.path.split(separator: "/").map { $0.prefix(8) }.joined(separator: "/")
    }
}
