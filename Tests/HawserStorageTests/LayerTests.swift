import HawserFormat
import HawserTesting
import Testing

@testable import HawserStorage

@Suite("The concurrency and metering layers")
struct LayerTests {
    @Test("at most so many requests run, and the next begins when one ends")
    func concurrency() async throws {
        let gate = Gate()
        let faulty = FaultyStore(MemoryStore(), faults: [Fault(.hold(gate), on: .put, occurrence: .every)])
        let store = LimitedStore(faulty, requests: 3)
        try await withThrowingTaskGroup { group in
            for seed in 0..<10 { group.addTask { _ = try await store.put(TestObject(seed: UInt64(seed))) } }
            try await gate.waitForArrivals(3)
            #expect(gate.arrivals == 3)
            gate.open()
            try await group.waitForAll()
        }
        #expect(gate.arrivals == 10)
    }

    @Test("a request that is cancelled while it waits for its turn takes none")
    func cancelledWaiting() async throws {
        let gate = Gate()
        let faulty = FaultyStore(MemoryStore(), faults: [Fault(.hold(gate), on: .put)])
        let store = LimitedStore(faulty, requests: 1)
        let first = Task { try await store.put(TestObject(seed: 1)) }
        try await gate.waitForArrivals(1)
        let second = Task { try await store.put(TestObject(seed: 2)) }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        gate.open()
        #expect(try await first.value == .created)
        #expect(try await store.put(TestObject(seed: 2)) == .created)
    }

    @Test("a request that fails gives its turn back")
    func failure() async throws {
        let faulty = FaultyStore(MemoryStore(), faults: [Fault(.failBefore(.permanent()), on: .put)])
        let store = LimitedStore(faulty, requests: 1)
        await #expect(throws: HawserError.self) { try await store.put(TestObject(seed: 1)) }
        #expect(try await store.put(TestObject(seed: 1)) == .created)
    }

    @Test("requests, bytes, failures and time are counted")
    func metrics() async throws {
        let clock = ManualClock()
        let gate = Gate()
        let faulty = FaultyStore(
            MemoryStore(),
            faults: [Fault(.failBefore(.transient()), on: .get), Fault(.hold(gate), on: .head)]
        )
        let store = MeteredStore(faulty, clock: clock)
        let object = TestObject(length: 1_000, seed: 1)
        try await store.put(object)
        try await store.put(object)
        await #expect(throws: HawserError.self) { try await store.get(object.key, range: nil) }
        _ = try await store.get(object.key, range: 0..<10)
        let head = Task { try await store.head(object.key) }
        try await gate.waitForArrivals(1)
        clock.advance(by: .seconds(3))
        gate.open()
        _ = try await head.value
        _ = try await store.list(prefix: "", after: nil, limit: 1)
        try await store.delete([object.key])

        let metrics = store.metrics
        #expect(metrics.requests == 7)
        #expect(metrics.failures == 1)
        #expect(metrics[.get] == .init(requests: 2, failures: 1, time: .zero))
        #expect(metrics[.head] == .init(requests: 1, failures: 0, time: .seconds(3)))
        #expect(metrics.bytesUploaded == 1_000)
        #expect(metrics.bytesDownloaded == 10)
        #expect(metrics.objectsCreated == 1)
        #expect(metrics.objectsExisted == 1)
        #expect(metrics.objectsDeleted == 1)
    }
}
