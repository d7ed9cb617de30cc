import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

/// A quota of so many bytes that remembers what it was asked.
private final class CountingLeases: ByteLeases {
    struct State {
        var reserved = 0
        var committed = 0
        var openLeases: Set<UInt64> = []
        var permitsAsked: [ObjectKey] = []
        var nextID: UInt64 = 0
    }

    let quota: Int
    let state = Mutex(State())

    init(quota: Int = .max) {
        self.quota = quota
    }

    func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease {
        try state.withLock { state in
            guard bytes <= quota - state.reserved - state.committed else {
                throw HawserError(.quotaExceeded, "The quota is used up.")
            }
            state.nextID += 1
            state.reserved += bytes
            state.openLeases.insert(state.nextID)
            return ByteLease(id: state.nextID, key: key, bytes: bytes)
        }
    }

    func commit(_ lease: ByteLease) async {
        state.withLock { state in
            #expect(state.openLeases.remove(lease.id) != nil)
            state.reserved -= lease.bytes
            state.committed += lease.bytes
        }
    }

    func release(_ lease: ByteLease) async {
        state.withLock { state in
            #expect(state.openLeases.remove(lease.id) != nil)
            state.reserved -= lease.bytes
        }
    }

    /// Never for a snapshot, always for a checkpoint.
    func permit(_ key: ObjectKey, replacing replaced: ObjectKey?) async throws {
        state.withLock { $0.permitsAsked.append(key) }
        if key.kind == .snapshot { throw HawserError(.conflict, "The session is over.") }
    }

    var permitsAsked: [ObjectKey] { state.withLock { $0.permitsAsked } }
    var committed: Int { state.withLock { $0.committed } }
    var isSettled: Bool { state.withLock { $0.reserved == 0 && $0.openLeases.isEmpty } }
}

/// Says that every object exists.
private struct CarelessStore: ObjectStore {
    let base: any ObjectStore

    func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult { .existed }
    func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] { try await base.get(key, range: range) }
    func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }
    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await base.list(prefix: prefix, after: after, limit: limit)
    }
    func delete(_ keys: [ObjectKey]) async throws { try await base.delete(keys) }
}

extension SealedObject {
    init(_ object: TestObject) {
        self.init(key: object.key, bytes: object.bytes, sha256: object.sha256)
    }
}

@Suite("The target data mover")
struct TargetDataMoverTests {
    let memory = MemoryStore()
    private let leases = CountingLeases()
    let object = TestObject(length: 1_000, seed: 1)

    @Test("stores, fetches, lists and deletes, and counts")
    func roundTrip() async throws {
        let mover = TargetDataMover(store: memory, leases: leases)
        let receipt = try await mover.store(SealedObject(object))
        #expect(receipt == StoreReceipt(key: object.key, length: 1_000, result: .created))
        #expect(try await mover.store(SealedObject(object)).result == .existed)
        #expect(try await mover.fetch(object.key, range: 10..<20) == Array(object.bytes[10..<20]))
        #expect(try await mover.head(object.key)?.length == 1_000)
        var listed: [ObjectKey] = []
        for try await info in mover.list(.dataPack) { listed.append(info.key) }
        #expect(listed == [object.key])
        try await mover.delete([object.key])
        #expect(memory.count == 0)

        var expected = TransferCounters()
        expected.objectsStored = 1
        expected.bytesStored = 1_000
        expected.objectsFound = 1
        expected.objectsFetched = 1
        expected.bytesFetched = 10
        expected.objectsDeleted = 1
        #expect(await mover.counters == expected)
        #expect(leases.committed == 1_000)
        #expect(leases.isSettled)
    }

    @Test("releases the lease when the store fails", arguments: [true, false])
    func failure(before: Bool) async throws {
        let effect: Fault.Effect = before ? .failBefore(.permanent()) : .failAfter(.permanent())
        let faulty = FaultyStore(memory, faults: [Fault(effect, on: .put)])
        let mover = TargetDataMover(store: faulty, leases: leases)
        await #expect { try await mover.store(SealedObject(object)) } throws: {
            ($0 as? HawserError)?.code == .accessDenied
        }
        #expect(leases.committed == 0)
        #expect(leases.isSettled)
        #expect(await mover.counters.failures == 1)
        try faulty.verifyAllFired()
    }

    @Test("asks for leave before a snapshot or a checkpoint, and writes none without")
    func permits() async throws {
        let mover = TargetDataMover(store: memory, leases: leases)
        let snapshot = TestObject(.snapshot, length: 100, seed: 2)
        let checkpoint = TestObject(.checkpoint, length: 100, seed: 3)
        _ = try await mover.store(SealedObject(object))
        _ = try await mover.store(SealedObject(checkpoint))
        await #expect { try await mover.store(SealedObject(snapshot)) } throws: {
            ($0 as? HawserError)?.code == .conflict
        }
        #expect(leases.permitsAsked == [checkpoint.key, snapshot.key])
        #expect(memory.count == 2)
        #expect(leases.isSettled)
    }

    @Test("stores nothing that the quota has no room for, also in a race")
    func quota() async throws {
        let leases = CountingLeases(quota: 2_500)
        let mover = TargetDataMover(
            store: memory,
            leases: leases,
            access: StorageAccess(parallelUploads: 8, parallelFetches: 1, keepsObjects: false)
        )
        let refused = await withTaskGroup(of: Bool.self) { group in
            for seed in 0..<8 as Range<UInt64> {
                group.addTask {
                    do {
                        _ = try await mover.store(SealedObject(TestObject(length: 1_000, seed: seed)))
                        return false
                    } catch {
                        return (error as? HawserError)?.code == .quotaExceeded
                    }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(refused == 6)
        #expect(memory.totalLength == 2_000)
        #expect(leases.committed == 2_000)
        #expect(leases.isSettled)
    }

    @Test("counts what exists as stored only with the right length")
    func settlement() async throws {
        let mover = TargetDataMover(store: CarelessStore(base: memory), leases: leases)
        await #expect { try await mover.store(SealedObject(object)) } throws: {
            ($0 as? HawserError)?.code == .unavailable
        }
        try await memory.put(object.key, [1, 2, 3])
        await #expect { try await mover.store(SealedObject(object)) } throws: { ($0 as? HawserError)?.code == .damaged }
        memory.replace(object.key, with: object.bytes)
        #expect(try await mover.store(SealedObject(object)).result == .existed)
        #expect(leases.isSettled)
        #expect(leases.committed == 0)
    }

    @Test("refuses objects that are not called by their hash, or empty")
    func invalidObjects() async throws {
        let mover = TargetDataMover(store: memory, leases: leases)
        let other = TestObject(seed: 2)
        await #expect(throws: HawserError.self) {
            try await mover.store(SealedObject(key: object.key, bytes: object.bytes, sha256: other.sha256))
        }
        await #expect(throws: HawserError.self) { try await mover.store(SealedObject(TestObject(bytes: []))) }
        #expect(memory.count == 0)
    }

    @Test("bounds the uploads that run side by side, and ends when they have ended")
    func bounded() async throws {
        let gate = Gate()
        let faulty = FaultyStore(memory, faults: [Fault(.hold(gate), on: .put, occurrence: .every)])
        let mover = TargetDataMover(
            store: faulty,
            leases: leases,
            access: StorageAccess(parallelUploads: 2, parallelFetches: 1, keepsObjects: false)
        )
        try await withThrowingTaskGroup { group in
            for seed in 0..<2 as Range<UInt64> {
                group.addTask { _ = try await mover.store(SealedObject(TestObject(seed: seed))) }
            }
            try await gate.waitForArrivals(2)
            // This one waits for a slot, is overtaken by the end, and must not be stored then.
            let late = Task { try await mover.store(SealedObject(TestObject(seed: 3))) }
            let isEnded = Flag()
            group.addTask {
                await mover.finish()
                isEnded.raise()
            }
            while await !mover.isRefusing { await Task.yield() }
            #expect(!isEnded.isRaised)
            gate.open()
            try await group.waitForAll()
            _ = await late.result
            #expect(isEnded.isRaised)
        }
        #expect(memory.count <= 3)
        #expect(leases.isSettled)
        await #expect { try await mover.store(SealedObject(object)) } throws: {
            ($0 as? HawserError)?.code == .unavailable
        }
        await mover.finish()
    }

    @Test("gives lease and slot back when a store is cancelled")
    func cancellation() async throws {
        let gate = Gate()
        let faulty = FaultyStore(memory, faults: [Fault(.hold(gate), on: .put)])
        let mover = TargetDataMover(
            store: faulty,
            leases: leases,
            access: StorageAccess(parallelUploads: 1, parallelFetches: 1, keepsObjects: false)
        )
        let first = Task { try await mover.store(SealedObject(object)) }
        try await gate.waitForArrivals(1)
        let second = Task { try await mover.store(SealedObject(TestObject(seed: 2))) }
        second.cancel()
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(leases.isSettled)
        #expect(try await mover.store(SealedObject(object)).result == .created)
    }

    @Test("does not take fewer bytes than it asked for")
    func shortAnswer() async throws {
        try await memory.put(object)
        let faulty = FaultyStore(memory, faults: [Fault(.truncate(5), on: .get)])
        let mover = TargetDataMover(store: faulty)
        await #expect { try await mover.fetch(object.key, range: 0..<10) } throws: {
            ($0 as? HawserError)?.isRetryable == true
        }
        try faulty.verifyAllFired()
    }
}

extension TargetDataMover {
    /// Whether `finish` has begun: an object that is refused for its name in either case tells.
    fileprivate var isRefusing: Bool {
        get async {
            let wrong = SealedObject(key: TestObject(seed: 1).key, bytes: [1], sha256: TestObject(seed: 2).sha256)
            do {
                _ = try await store(wrong)
                return false
            } catch {
                return (error as? HawserError)?.code == .unavailable
            }
        }
    }
}
