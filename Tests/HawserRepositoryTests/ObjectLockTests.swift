import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserRepository

/// Locks objects in memory as a storage does, by a clock that the test moves.
private final class LockedMemory: ObjectStore, LockingStore {
    struct State {
        var ends: [ObjectKey: Timestamp] = [:]
        var now = Timestamp(seconds: 1_800_000_000)
        var requests = 0
        /// From this request on the keys may not lock.
        var refusedFrom = Int.max
    }

    let memory = MemoryStore()
    let lock: ObjectLock
    let state = Mutex(State())

    init(_ lock: ObjectLock) {
        self.lock = lock
    }

    var storageTime: Timestamp { state.withLock { $0.now } }

    func pass(days: Int64) {
        state.withLock { $0.now.seconds += days * 86_400 }
    }

    /// How many requests for locks `body` makes.
    func requests(_ body: () async throws -> Void) async rethrows -> Int {
        state.withLock { $0.requests = 0 }
        try await body()
        return state.withLock { $0.requests }
    }

    func extendLock(of key: ObjectKey, to end: Timestamp) async throws {
        guard try await memory.head(key) != nil else { throw HawserError(.notFound, "gone") }
        try state.withLock { state in
            state.requests += 1
            if state.requests >= state.refusedFrom { throw HawserError(.accessDenied, "no") }
            state.ends[key] = max(state.ends[key] ?? end, end)
        }
    }

    func lockEnd(of key: ObjectKey) async throws -> Timestamp? {
        guard try await memory.head(key) != nil else { throw HawserError(.notFound, "gone") }
        return state.withLock { $0.ends[key] }
    }

    func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        let result = try await memory.put(key, bytes, sha256: sha256)
        if result == .created, key.kind.isLocked { state.withLock { $0.ends[key] = lock.end(at: $0.now) } }
        return result
    }

    func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] { try await memory.get(key, range: range) }
    func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await memory.head(key) }
    func delete(_ keys: [ObjectKey]) async throws { try await memory.delete(keys) }

    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await memory.list(prefix: prefix, after: after, limit: limit)
    }
}

@Suite("Object locks")
struct ObjectLockTests {
    private let files = [TestFile("a", count: 3_000_000, seed: 1), TestFile("b", count: 1_000_000, seed: 2)]
    private let others = [TestFile("b", count: 1_000_000, seed: 2), TestFile("c", count: 2_000_000, seed: 3)]

    private func withRepository(_ body: (TestRepository, LockedMemory) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let lock = try ObjectLock(.governance, days: 30)
            let locked = LockedMemory(lock)
            let store = FaultyStore(locked)
            let fixture = TestRepository(
                memory: locked.memory,
                store: store,
                target: TargetDataMover(store: store, locks: locked),
                cacheRoot: folder + "/cache"
            )
            try await Repository.create(at: fixture.target, password: .test, slot: .test(), cost: .test, lock: lock)
            try await body(fixture, locked)
        }
    }

    @Test("Ends are common for ten days, no earlier than the days, and no more than ten later")
    func ends() throws {
        let lock = try ObjectLock(.compliance, days: 7)
        for second in stride(from: Int64(1_800_000_000), to: 1_802_000_000, by: 86_399) {
            let end = lock.end(at: Timestamp(seconds: second)).seconds
            #expect(end % 864_000 == 0 && (7 * 86_400..<17 * 86_400).contains(end - second))
        }
        for days in [-1, 0, 36_501] { #expect(throws: HawserError.self) { try ObjectLock(.governance, days: days) } }
    }

    @Test("Each pack that a backup needs is locked longer once in ten days, with what opens the repository")
    func extended() async throws {
        try await withRepository { fixture, locked in
            // Packs of one's own are locked as they are stored.
            #expect(try await locked.requests { try await fixture.backUp(files) } == 2)
            #expect(try await locked.requests { try await fixture.backUp(files, at: 1_800_000_100) } == 0)
            locked.pass(days: 11)
            let packs = try await fixture.keys("packs/").count
            #expect(try await locked.requests { try await fixture.backUp(files, at: 1_800_950_400) } == packs + 2)
            let end = locked.lock.end(at: locked.storageTime)
            for key in try await fixture.keys("packs/") + fixture.keys(.config) + fixture.keys(.keySlot) {
                #expect(try await locked.lockEnd(of: key) == end, "\(key)")
            }
            #expect(try await fixture.check().findings.isEmpty)
        }
    }

    @Test("A check names what is not locked, and the next backup locks it")
    func found() async throws {
        try await withRepository { fixture, locked in
            try await fixture.backUp(files)
            for kind in [ObjectKind.dataPack, .config, .keySlot, .snapshot] {
                let key = try #require(await fixture.keys(kind).first)
                locked.state.withLock { $0.ends[key] = nil }
                let findings = try await fixture.check().findings
                #expect(findings.map(\.key) == [key.path])
                try await fixture.backUp(files, at: 1_800_000_100)
                if kind == .snapshot { continue }
                #expect(try await locked.lockEnd(of: key) != nil, "\(key)")
                #expect(try await fixture.check().findings.isEmpty)
            }
        }
    }

    @Test("What could not be locked makes no snapshot; what could is not asked for again")
    func refused() async throws {
        try await withRepository { fixture, locked in
            try await fixture.backUp(files)
            locked.pass(days: 11)
            locked.state.withLock { $0.refusedFrom = 4 }
            await expectCode(.accessDenied) {
                _ = try await locked.requests { try await fixture.backUp(files, at: 1_800_950_400) }
            }
            #expect(try await fixture.keys(.snapshot).count == 1)
            locked.state.withLock { $0.refusedFrom = .max }
            let packs = try await fixture.keys("packs/").count
            #expect(try await locked.requests { try await fixture.backUp(files, at: 1_800_950_400) } < packs + 2)
            #expect(try await fixture.check().findings.isEmpty)
        }
    }

    @Test("A pack that is gone when it is to be locked is stored again")
    func gone() async throws {
        try await withRepository { fixture, locked in
            try await fixture.backUp(files)
            locked.pass(days: 11)
            let session = try await TestSession(fixture.open())
            let root = try await session.store(files)
            let pack = try #require(await fixture.keys(.dataPack).first)
            try await fixture.memory.delete([pack])
            await #expect(throws: RepositoryWriter.Condemnation.self) {
                try await session.writer.commit(session.snapshot(root, at: 1_800_950_400))
            }
        }
    }

    @Test("A prune moves what is needed of locked packs, and leaves those of which nothing is")
    func prune() async throws {
        try await withRepository { fixture, locked in
            let ids = try await [fixture.backUp(files), fixture.backUp(others, at: 1_800_000_100)]
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            options.grace = .none
            func prune() async throws -> PruneSummary {
                try await Pruner(fixture.open(), options: options, now: { Timestamp(seconds: 1_800_000_200) }).run()
            }
            try await fixture.open().forget([ids[0]])
            let first = try await prune()
            #expect(first.rewritten.count > 0 && first.movedBytes > 0)
            try await fixture.open(cache: false).expect(others, in: ids[1])
            try await fixture.open().forget([ids[1]])
            let second = try await prune()
            #expect(second.locked.count > 0 && second.marked.count == 0)
            #expect(second.lockedUntil.map { $0 > locked.storageTime } == true)
            locked.pass(days: 41)
            let third = try await prune()
            #expect(third.locked.count == 0 && third.deleted.count == second.locked.count)
            #expect(try await fixture.keys("packs/").isEmpty)
        }
    }

    @Test("A configuration with the feature and without the lock, or the other way, is damaged")
    func contradiction() async throws {
        try await withRepository { fixture, locked in
            let config = try await fixture.open().config
            #expect(config.lock == locked.lock && !config.isReadOnly)
            var odd = config
            odd.header.features.write = []
            let ring = try await fixture.open().ring
            let bytes = try odd.encode(ring)
            #expect(throws: HawserError.self) { try RepositoryConfig(decoding: bytes, ring: ring) }
        }
    }
}
