import HawserFormat
import HawserStorage
import HawserTesting
import Testing

@Suite("The test kit")
struct TestKitTests {
    @Test("the generator gives the published numbers")
    func generator() {
        // First outputs of the reference implementation for seed 1234567 (S. Vigna, splitmix64.c).
        var generator = SplitMix64(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 3_203_168_211_198_807_973)
        #expect(generator.next() == 9_817_491_932_198_370_423)
    }

    @Test("corpora have their length, and are the same for the same seed", arguments: [0, 1, 7, 8, 63, 64, 65, 10_000])
    func corpora(_ count: Int) {
        for make in [Corpus.incompressible, Corpus.compressible, Corpus.text] {
            #expect(make(count, 3).count == count)
            #expect(make(count, 3) == make(count, 3))
            #expect(count < 8 || make(count, 3) != make(count, 4))
        }
    }

    @Test("faults fire at their request only, and a fault that never fired is told")
    func faults() async throws {
        let object = TestObject(seed: 1)
        let store = FaultyStore(
            MemoryStore(),
            faults: [
                Fault(
                    .failBefore(.transient()),
                    on: .put,
                    keys: .kind(.dataPack),
                    occurrence: .only(2),
                    name: "second"
                ),
                Fault(.failBefore(.transient()), on: .put, keys: .exactly(TestObject(seed: 9).key), name: "never"),
            ]
        )
        try await store.put(TestObject(.snapshot, seed: 1))
        try await store.put(object)
        await #expect(throws: HawserError.self) { try await store.put(TestObject(seed: 2)) }
        try await store.put(TestObject(seed: 2))
        #expect(store.fired == ["second": 1])
        #expect { try store.verifyAllFired() } throws: { "\($0)".contains("never") && !"\($0)".contains("second") }
    }

    @Test("a store is full after its bytes, and stale lists lack the newest")
    func fullAndStale() async throws {
        let store = FaultyStore(
            MemoryStore(),
            faults: [
                Fault(.full(afterBytes: 250), on: .put, occurrence: .every),
                Fault(.hideNewest(1), on: .list, keys: .prefix("packs/"), occurrence: .first(1)),
            ]
        )
        try await store.put(TestObject(seed: 1))
        try await store.put(TestObject(seed: 2))
        await #expect { try await store.put(TestObject(seed: 3)) } throws: {
            ($0 as? HawserError)?.code == .storageFull
        }
        #expect(try await store.list(prefix: "packs/", after: nil, limit: 10).map(\.key) == [TestObject(seed: 1).key])
        #expect(try await store.list(prefix: "packs/", after: nil, limit: 10).count == 2)
        try store.verifyAllFired()
    }

    @Test("a held answer comes when the gate opens; the effect comes before")
    func heldAnswer() async throws {
        let gate = Gate()
        let memory = MemoryStore()
        let store = FaultyStore(memory, faults: [Fault(.holdAnswer(gate), on: .put)])
        let object = TestObject(seed: 1)
        let put = Task { try await store.put(object) }
        try await gate.waitForArrivals(1)
        #expect(memory.count == 1)
        gate.open()
        #expect(try await put.value == .created)
    }

    @Test("the clock wakes sleepers in time and lets cancelled ones go")
    func clock() async throws {
        let clock = ManualClock()
        let short = Task { try await clock.sleep(for: .seconds(1)) }
        let long = Task { try await clock.sleep(for: .seconds(10)) }
        try await clock.waitForSleepers(2)
        clock.advance(by: .seconds(1))
        try await short.value
        try await clock.waitForSleepers(1)
        long.cancel()
        await #expect(throws: CancellationError.self) { try await long.value }
        #expect(clock.now.offset == .seconds(1))
        #expect(Set(clock.sleeps) == [.seconds(1), .seconds(10)])
    }

    @Test("a listing asks for pages until one is not full")
    func listing() async throws {
        let memory = MemoryStore()
        let keys = (0..<7).map { TestObject(.snapshot, seed: $0) }.map(\.key).sorted()
        for seed in 0..<7 as Range<UInt64> { try await memory.put(TestObject(.snapshot, seed: seed)) }
        for (pageSize, requests) in [(1, 8), (3, 3), (7, 2), (8, 1)] {
            let store = MeteredStore(memory)
            let listing = ObjectListing(pageSize: pageSize) { after, limit in
                try await store.list(prefix: "snapshots/", after: after, limit: limit)
            }
            var listed: [ObjectKey] = []
            for try await info in listing { listed.append(info.key) }
            #expect(listed == keys)
            #expect(store.metrics.requests == requests)
        }
    }

    @Test("a listing does not go round for ever when a storage repeats its page")
    func repeatedPage() async throws {
        let info = ObjectInfo(key: TestObject(seed: 1).key, length: 1)
        let listing = ObjectListing(pageSize: 1) { _, _ in [info] }
        await #expect(throws: HawserError.self) { for try await _ in listing {} }
    }
}
