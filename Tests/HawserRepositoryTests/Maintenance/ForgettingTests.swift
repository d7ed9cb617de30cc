import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
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
    }
}
