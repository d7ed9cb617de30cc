import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserStorage

@Suite("The bandwidth layer")
struct BandwidthTests {
    @Test("a bucket lets a request begin when all before it are paid")
    func order() {
        var bucket = TokenBucket(rate: 100, now: .zero)
        // The burst of one second, then debt.
        let first = bucket.charge(100, now: .zero)
        let second = bucket.charge(300, now: .zero)
        let third = bucket.charge(50, now: .zero)
        #expect(bucket.delay(first, now: .zero) == nil)
        #expect(bucket.delay(second, now: .zero) == nil)
        #expect(bucket.delay(third, now: .zero) == .milliseconds(3_001))
        #expect(bucket.delay(third, now: .seconds(2)) == .milliseconds(1_001))
        #expect(bucket.delay(third, now: .seconds(3)) == nil)
    }

    @Test("who stands behind bytes that are not sent after all moves up")
    func refund() {
        var bucket = TokenBucket(rate: 100, now: .zero)
        _ = bucket.charge(1_000, now: .zero)
        let second = bucket.charge(1, now: .zero)
        #expect(bucket.delay(second, now: .zero) == .milliseconds(9_001))
        bucket.refund(1_000)
        #expect(bucket.delay(second, now: .zero) == nil)
    }

    @Test("an idle bucket saves no more than one second")
    func burst() {
        var bucket = TokenBucket(rate: 100, now: .zero)
        _ = bucket.charge(200, now: .seconds(1_000))
        let next = bucket.charge(1, now: .seconds(1_000))
        #expect(bucket.delay(next, now: .seconds(1_000)) == .milliseconds(1_001))
    }

    @Test("a new rate holds from now on, and none lets all pass")
    func newRate() {
        var bucket = TokenBucket(rate: 100, now: .zero)
        _ = bucket.charge(1_100, now: .zero)
        let waiting = bucket.charge(1, now: .zero)
        #expect(bucket.delay(waiting, now: .seconds(5)) == .milliseconds(5_001))
        bucket.setRate(1_000, now: .seconds(5))
        #expect(bucket.delay(waiting, now: .seconds(5)) == .milliseconds(501))
        bucket.setRate(nil, now: .seconds(5))
        #expect(bucket.delay(waiting, now: .seconds(5)) == nil)
    }

    @Test("the average of many uploads keeps to the limit")
    func average() async throws {
        let clock = ManualClock(advancesItself: true)
        let store = try ThrottledStore(MemoryStore(), limits: .init(upload: 10_000), clock: clock)
        for seed in 0..<20 { try await store.put(TestObject(length: 5_000, seed: UInt64(seed))) }
        // 100,000 bytes less the burst and the last object, which is sent when all before it are paid.
        let seconds = clock.now.offset.inSeconds
        #expect(seconds > 8.4 && seconds < 8.7)
    }

    @Test("downloads of unknown length hold up the next one")
    func downloads() async throws {
        let memory = MemoryStore()
        let object = TestObject(length: 50_000, seed: 1)
        try await memory.put(object)
        let clock = ManualClock(advancesItself: true)
        let store = try ThrottledStore(memory, limits: .init(download: 10_000), clock: clock)
        _ = try await store.get(object.key, range: nil)
        #expect(clock.sleeps.isEmpty)
        _ = try await store.get(object.key, range: 0..<10)
        let seconds = clock.now.offset.inSeconds
        #expect(seconds > 3.9 && seconds < 4.3)
    }

    @Test("a limit that is lifted frees those who wait")
    func adjusted() async throws {
        let clock = ManualClock()
        let store = try ThrottledStore(MemoryStore(), limits: .init(upload: 1), clock: clock)
        try await store.put(TestObject(length: 1_000_000, seed: 1))
        let waiting = Task { try await store.put(TestObject(seed: 2)) }
        try await clock.waitForSleepers(1)
        try store.setLimits(.none)
        clock.advance(by: .milliseconds(250))
        #expect(try await waiting.value == .created)
        #expect(store.limits == .none)
    }

    @Test("limits that come from elsewhere are asked for while requests wait")
    func updated() async throws {
        let clock = ManualClock()
        let lifted = Mutex(false)
        let store = try ThrottledStore(
            MemoryStore(),
            limits: .init(upload: 1),
            update: { lifted.withLock { $0 } ? ThrottledStore.Limits.none : nil },
            clock: clock
        )
        try await store.put(TestObject(length: 1_000_000, seed: 1))
        let waiting = Task { try await store.put(TestObject(seed: 2)) }
        try await clock.waitForSleepers(1)
        lifted.withLock { $0 = true }
        clock.advance(by: .milliseconds(250))
        #expect(try await waiting.value == .created)
    }

    @Test("a cancelled request gives its bytes back")
    func cancelled() async throws {
        let clock = ManualClock()
        let store = try ThrottledStore(MemoryStore(), limits: .init(upload: 1_000), clock: clock)
        try await store.put(TestObject(length: 2_000, seed: 1))
        let waiting = Task { try await store.put(TestObject(length: 100_000, seed: 2)) }
        try await clock.waitForSleepers(1)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        clock.advance(by: .milliseconds(1_100))
        #expect(try await store.put(TestObject(seed: 3)) == .created)
    }

    @Test("a refused range costs nothing")
    func refusedRange() async throws {
        let memory = MemoryStore()
        let object = TestObject(seed: 1)
        try await memory.put(object)
        let clock = ManualClock(advancesItself: true)
        let store = try ThrottledStore(memory, limits: .init(download: 1), clock: clock)
        for range in [0..<Int.max, Int.min..<Int.max, -5..<10] {
            await #expect(throws: HawserError.self) { try await store.get(object.key, range: range) }
        }
        #expect(try await store.get(object.key, range: 0..<1) == [object.bytes[0]])
        #expect(clock.sleeps.isEmpty)
    }

    @Test("limits must be above zero")
    func validation() throws {
        #expect(throws: HawserError.self) { try ThrottledStore(MemoryStore(), limits: .init(upload: 0)) }
        let store = try ThrottledStore(MemoryStore(), limits: .none)
        #expect(throws: HawserError.self) { try store.setLimits(.init(download: -1)) }
    }
}
