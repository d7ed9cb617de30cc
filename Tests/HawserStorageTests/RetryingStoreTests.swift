import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserStorage

@Suite("The retry layer")
struct RetryingStoreTests {
    let memory = MemoryStore()
    let clock = ManualClock(advancesItself: true)
    let object = TestObject(seed: 1)

    func store(_ faulty: FaultyStore, policy: RetryPolicy = RetryPolicy(), random: Double = 0.5) -> RetryingStore {
        RetryingStore(faulty, policy: policy, clock: clock, random: { random })
    }

    @Test("repeats what fails in passing, with pauses that double up to a bound")
    func pauses() async throws {
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(.transient()), on: .list, occurrence: .first(5))])
        let policy = RetryPolicy(
            maximumAttempts: 6,
            firstDelay: .seconds(1),
            maximumDelay: .seconds(6),
            maximumTime: .seconds(100)
        )
        let store = store(faulty, policy: policy)
        #expect(try await store.list(prefix: "", after: nil, limit: 10).isEmpty)
        #expect(clock.sleeps == [0.5, 1, 2, 3, 3].map { .seconds($0) })
        try faulty.verifyAllFired()
    }

    @Test("gives up after its attempts and throws the last error")
    func attempts() async throws {
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(.transient()), on: .head, occurrence: .every)])
        let events = Mutex<[Int]>([])
        let store = RetryingStore(
            faulty,
            policy: RetryPolicy(maximumAttempts: 3),
            clock: clock,
            onRetry: { event in
                #expect(event.operation == .head)
                events.withLock { $0.append(event.attempts) }
            }
        )
        await #expect { try await store.head(object.key) } throws: { ($0 as? HawserError)?.code == .unavailable }
        #expect(faulty.fired.values.first == 3)
        #expect(events.withLock { $0 } == [1, 2])
    }

    @Test("gives up when the next attempt would come too late")
    func time() async throws {
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(.transient()), on: .head, occurrence: .every)])
        let policy = RetryPolicy(
            maximumAttempts: 100,
            firstDelay: .seconds(10),
            maximumDelay: .seconds(10),
            maximumTime: .seconds(35)
        )
        await #expect(throws: HawserError.self) { try await store(faulty, policy: policy, random: 1).head(object.key) }
        #expect(clock.sleeps.count == 3)
    }

    @Test("waits for a storage that was reached before, for ten minutes")
    func away() async throws {
        let faulty = FaultyStore(memory)
        let store = store(faulty)
        #expect(try await store.head(object.key) == nil)
        // With pauses of 0.1 to 6.4 s, and then of 7.5 s: four minutes.
        faulty.add(Fault(.failBefore(.transient()), on: .head, occurrence: .first(40)))
        #expect(try await store.head(object.key) == nil)
        #expect(clock.sleeps.count == 40)
        #expect(clock.now.offset > .seconds(240))

        let start = clock.now
        faulty.add(Fault(.failBefore(.transient()), on: .head, occurrence: .every))
        await #expect(throws: HawserError.self) { try await store.head(object.key) }
        #expect(start.duration(to: clock.now) > .seconds(590))
        #expect(start.duration(to: clock.now) <= .seconds(600))
    }

    @Test("does not wait long for what fails alone")
    func failsAlone() async throws {
        let clock = ManualClock()
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(.transient()), on: .head, occurrence: .every)])
        let policy = RetryPolicy(maximumAttempts: 2)
        let store = RetryingStore(faulty, policy: policy, clock: clock, random: { 0.5 })
        try await store.put(object)
        async let found = store.head(object.key)
        // The first failure could be the beginning of an outage; twice two more can't.
        for _ in 0..<4 {
            try await clock.waitForSleepers(1)
            _ = try await store.list(prefix: "", after: nil, limit: 10)
            clock.advance(by: .seconds(15))
        }
        do {
            _ = try await found
            Issue.record("It was found.")
        } catch {
            #expect(error is HawserError)
        }
        #expect(faulty.fired.values.first == 5)
    }

    @Test("waits as long as the storage asks, and not at all when that is too long")
    func retryAfter() async throws {
        var slowDown = HawserError.transient()
        slowDown.retryAfter = .seconds(40)
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(slowDown), on: .head)])
        #expect(try await store(faulty).head(object.key) == nil)
        #expect(clock.sleeps == [.milliseconds(40_100)])

        slowDown.retryAfter = .seconds(4_000)
        faulty.add(Fault(.failBefore(slowDown), on: .head))
        await #expect(throws: HawserError.self) { try await store(faulty).head(object.key) }
        #expect(clock.sleeps.count == 1)
    }

    @Test("never repeats what can't succeed")
    func permanent() async throws {
        for operation in StoreOperation.allCases {
            let faulty = FaultyStore(
                memory,
                faults: [Fault(.failBefore(.permanent()), on: operation, occurrence: .every)]
            )
            let store = store(faulty)
            await #expect { try await request(operation, of: store) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
            #expect(faulty.fired.values.first == 1)
        }
        #expect(clock.sleeps.isEmpty)
    }

    @Test("repeats every kind of request", arguments: StoreOperation.allCases)
    func everyOperation(_ operation: StoreOperation) async throws {
        try await memory.put(object)
        let faulty = FaultyStore(
            memory,
            faults: [Fault(.failBefore(.transient()), on: operation, occurrence: .first(2))]
        )
        try await request(operation, of: store(faulty))
        try faulty.verifyAllFired()
    }

    private func request(_ operation: StoreOperation, of store: some ObjectStore) async throws {
        switch operation {
        case .put: try await store.put(object)
        case .get: _ = try await store.get(object.key, range: nil)
        case .head: _ = try await store.head(object.key)
        case .list: _ = try await store.list(prefix: "", after: nil, limit: 10)
        case .delete: try await store.delete([object.key])
        }
    }

    @Test("settles a put whose answer was lost without sending it again")
    func lostAnswer() async throws {
        let faulty = FaultyStore(memory, faults: [Fault(.failAfter(.transient()), on: .put)])
        let metered = MeteredStore(faulty)
        let store = RetryingStore(metered, clock: clock)
        #expect(try await store.put(object) == .created)
        #expect(metered.metrics[.put].requests == 1)
        #expect(metered.metrics[.head].requests == 1)
        try faulty.verifyAllFired()
    }

    @Test("sends a put again although the look at it failed")
    func failedLook() async throws {
        let faulty = FaultyStore(
            memory,
            faults: [
                Fault(.failBefore(.transient()), on: .put),
                Fault(.failBefore(.transient()), on: .head, occurrence: .every),
            ]
        )
        #expect(try await store(faulty).put(object) == .created)
        #expect(clock.sleeps.count == 1)
        try faulty.verifyAllFired()
    }

    @Test("settles a put that arrived after it was looked for")
    func lateArrival() async throws {
        // The next attempt fails after its effect, and then the head that would have settled it.
        let faulty = FaultyStore(
            memory,
            faults: [
                Fault(.failBefore(.transient()), on: .put),
                Fault(.failAfter(.transient()), on: .put, occurrence: .only(2)),
                Fault(.failBefore(.transient()), on: .head, occurrence: .only(2)),
            ]
        )
        #expect(try await store(faulty).put(object) == .created)
        try faulty.verifyAllFired()
    }

    @Test("does not take a half object for the one whose answer was lost")
    func truncatedByLostAnswer() async throws {
        let faulty = FaultyStore(
            memory,
            faults: [Fault(.storeTruncated(10), on: .put), Fault(.failAfter(.transient()), on: .put)]
        )
        await #expect { try await store(faulty).put(object) } throws: { ($0 as? HawserError)?.code == .damaged }
        try faulty.verifyAllFired()
    }

    @Test("compares bytes where the key does not name a hash")
    func lostAnswerOfConfig() async throws {
        let config = TestObject(.config, seed: 1)
        let faulty = FaultyStore(memory, faults: [Fault(.failAfter(.transient()), on: .put)])
        #expect(try await store(faulty).put(config) == .created)

        // Another's config of the same length came first.
        let other = MemoryStore()
        try await other.put(config.key, Corpus.incompressible(config.bytes.count, seed: 9))
        let failing = FaultyStore(other, faults: [Fault(.failBefore(.transient()), on: .put)])
        await #expect { try await store(failing).put(config) } throws: { ($0 as? HawserError)?.code == .conflict }
    }

    @Test("ends its pause when the task is cancelled")
    func cancellation() async throws {
        let clock = ManualClock()
        let faulty = FaultyStore(memory, faults: [Fault(.failBefore(.transient()), on: .head, occurrence: .every)])
        let store = RetryingStore(faulty, clock: clock, random: { 0.5 })
        let task = Task { try await store.head(object.key) }
        try await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(faulty.fired.values.first == 1)
    }
}
