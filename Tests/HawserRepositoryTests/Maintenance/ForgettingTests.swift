import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserRepository

@Suite("The time by which snapshots are retained")
struct ForgettingTests {
    @Test("is their own, but not later than their arrival, whatever an object says that nobody has signed")
    func times() async throws {
        let arrival = Timestamp(seconds: 1_800_000_500)
        let memory = MemoryStore(now: { arrival })
        let target = TargetDataMover(store: memory)
        try await Repository.create(at: target, password: .test, slot: .test(), cost: .test)
        func open() async throws -> Repository {
            try await Repository.open(at: target, password: .test, cacheRoot: nil)
        }
        let files = [TestFile("a", count: 1_000, seed: 1)]
        let past = try await TestSession(open()).backUp(files, at: 1_800_000_000)
        let future = try await TestSession(open()).backUp(files, at: 1_900_000_000)
        try await memory.put(.named(.receipt, past), [1, 2, 3])
        let times = try await open().retentionCandidates().reduce(into: [:]) { $0[$1.stored.id] = $1.time }
        #expect(times == [past: Timestamp(seconds: 1_800_000_000), future: arrival])
        let own = try await open().retentionCandidates(trustsOwnTimes: true).map(\.time.seconds)
        #expect(own.sorted() == [1_800_000_000, 1_900_000_000])
    }

    @Test("with a provider it is when he took note, whatever a snapshot says; or else the storage")
    func receipts() async throws {
        let arrival = Timestamp(seconds: 1_800_000_500)
        let memory = MemoryStore(now: { arrival })
        let watcher = WatchingLeases()
        let target = TargetDataMover(store: memory, leases: watcher)
        try await Repository.create(at: target, password: .test, slot: .test(), cost: .test)
        func open() async throws -> Repository {
            try await Repository.open(at: target, password: .test, cacheRoot: nil)
        }
        func candidates(trustsOwnTimes: Bool = false) async throws -> [ObjectName: RetentionCandidate] {
            try await open().retentionCandidates(trustsOwnTimes: trustsOwnTimes).reduce(into: [:]) {
                $0[$1.stored.id] = $1
            }
        }
        let files = [TestFile("a", count: 1_000, seed: 1)]
        let backdated = try await TestSession(open()).backUp(files, at: 1_700_000_000)
        let future = try await TestSession(open()).backUp(files, at: 1_900_000_000)
        let untold = try await TestSession(open()).backUp(files, at: 1_600_000_000)
        watcher.forget(untold)
        var found = try await candidates()
        #expect(found[backdated]?.time == Timestamp(seconds: 1))
        #expect(found[future]?.time == Timestamp(seconds: 2))
        #expect(found[untold]?.time == arrival)
        #expect(try await candidates(trustsOwnTimes: true)[future]?.time.seconds == 1_900_000_000)

        let stored = try #require(found[backdated]?.stored)
        let tagged = try #require(try await open().retag(stored, .set([[1]])))
        found = try await candidates()
        #expect(found[tagged]?.time == Timestamp(seconds: 1))
        #expect(found[tagged]?.noted == Timestamp(seconds: 3))
    }

    @Test(
        "The clock that decides what is old enough is the provider's, then the storage's, and only then this machine's"
    )
    func clock() async throws {
        let memory = MemoryStore()
        let locks = StandingLocks(storageTime: Timestamp(seconds: 5))
        try await Repository.create(at: TargetDataMover(store: memory), password: .test, slot: .test(), cost: .test)
        func time(_ target: TargetDataMover) async throws -> Timestamp? {
            try await Repository.open(at: target, password: .test, cacheRoot: nil).storageTime
        }
        #expect(try await time(TargetDataMover(store: memory)) == nil)
        #expect(try await time(TargetDataMover(store: memory, locks: locks)) == Timestamp(seconds: 5))
        let watched = TargetDataMover(store: memory, leases: WatchingLeases(), locks: locks)
        #expect(try await time(watched) == Timestamp(seconds: 7))
    }
}

private struct StandingLocks: LockingStore {
    let storageTime: Timestamp

    func extendLock(of key: ObjectKey, to end: Timestamp) async throws {}
    func lockEnd(of key: ObjectKey) async throws -> Timestamp? { nil }
}

/// Notes permits, the first at second 1.
private final class WatchingLeases: ByteLeases {
    let time: Timestamp? = Timestamp(seconds: 7)
    private let state = Mutex<[ObjectName: SnapshotReceipt]>([:])

    func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease {
        ByteLease(id: 0, key: key, bytes: bytes)
    }
    func commit(_ lease: ByteLease) async {}
    func release(_ lease: ByteLease) async {}

    func permit(_ key: ObjectKey, replacing replaced: ObjectKey?) async throws {
        guard key.kind == .snapshot, let id = key.name else { return }
        state.withLock { receipts in
            let earlier = replaced?.name.flatMap { receipts[$0] }
            let noted = Timestamp(seconds: Int64(receipts.count + 1))
            receipts[id] = SnapshotReceipt(time: earlier?.time ?? noted, noted: noted)
        }
    }

    func receipts() async throws -> [ObjectName: SnapshotReceipt]? { state.withLock { $0 } }

    func forget(_ id: ObjectName) { _ = state.withLock { $0.removeValue(forKey: id) } }
}
