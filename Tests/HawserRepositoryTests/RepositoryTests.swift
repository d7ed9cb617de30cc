import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Creating and opening")
struct RepositoryTests {
    @Test("A second repository is not made over the first")
    func createsOnce() async throws {
        try await TestRepository.with { fixture in
            let count = fixture.memory.count
            await expectCode(.repositoryExists) {
                try await Repository.create(at: fixture.target, password: .test, slot: .test(), cost: .test)
            }
            #expect(fixture.memory.count == count)
        }
    }

    @Test("Of two that create at once the loser leaves nothing behind")
    func createsInARace() async throws {
        let memory = MemoryStore()
        let gate = Gate()
        let store = FaultyStore(memory, faults: [Fault(.hold(gate), on: .put, keys: .kind(.config))])
        let slow = TargetDataMover(store: store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await expectCode(.repositoryExists) {
                    try await Repository.create(at: slow, password: .test, slot: .test(), cost: .test)
                }
            }
            try await gate.waitForArrivals(1)
            try await Repository.create(
                at: TargetDataMover(store: memory),
                password: Secret(text: "other"),
                slot: .test(),
                cost: .test
            )
            gate.open()
            try await group.waitForAll()
        }
        try store.verifyAllFired()
        #expect(memory.count == 2)
        _ = try await Repository.open(
            at: TargetDataMover(store: memory),
            password: Secret(text: "other"),
            cacheRoot: nil
        )
    }

    @Test("A wrong password, a damaged slot and no repository are told apart")
    func tellsFailuresApart() async throws {
        try await TestRepository.with { fixture in
            await expectCode(.wrongPassword) { try await fixture.open(Secret(text: "wrong")) }
            let key = try #require(await fixture.keys(.keySlot).first)
            try await fixture.flipBit(of: key)
            let error = await #expect(throws: HawserError.self) { try await fixture.open() }
            #expect(error?.code == .damaged)
            #expect(error?.place == key.path)
        }
        let empty = TargetDataMover(store: MemoryStore())
        await expectCode(.noRepository) {
            try await Repository.open(at: empty, password: .test, cacheRoot: nil)
        }
    }

    @Test("A good slot opens beside a damaged one and beside another repository's")
    func passesBadSlotsOver() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            let doomed = try await keys.add(password: Secret(text: "b"), metadata: .test(), cost: .test)
            try await fixture.flipBit(of: .named(.keySlot, doomed))
            let foreign = try KeySlot.seal(.random(), metadata: .test(), password: .test, cost: .test)
            _ = try await fixture.target.store(SealedObject(kind: .keySlot, bytes: foreign.bytes))
            _ = try await fixture.open()
        }
    }

    @Test("A damaged configuration is named")
    func namesDamagedConfig() async throws {
        try await TestRepository.with { fixture in
            try await fixture.flipBit(of: .config(1))
            let error = await #expect(throws: HawserError.self) { try await fixture.open() }
            #expect(error?.code == .damaged)
            #expect(error?.place == "config/1")
        }
    }

    @Test("An older configuration than the one seen before is refused")
    func refusesOlderConfig() async throws {
        try await TestRepository.with { fixture in
            try await fixture.open().cache.rememberGeneration(2)
            await expectCode(.damaged) { try await fixture.open() }
            _ = try await fixture.open(cache: false)
        }
    }

    @Test("A snapshot that took another's place is refused")
    func refusesSwappedSnapshots() async throws {
        try await TestRepository.with { fixture in
            let first = try await fixture.backUp([TestFile("a", count: 1000, seed: 1)])
            let second = try await fixture.backUp([TestFile("b", count: 1000, seed: 2)])
            let bytes = try await fixture.memory.get(.named(.snapshot, second), range: nil)
            fixture.memory.replace(.named(.snapshot, first), with: bytes)
            let repository = try await fixture.open()
            await expectCode(.damaged) { try await repository.snapshot(first) }
        }
    }
}
