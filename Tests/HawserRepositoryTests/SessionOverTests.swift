import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("A commit in a session that the provider took for dead")
struct SessionOverTests {
    /// As the quota monitor says it, once for each snapshot.
    private static let fault = Fault(
        .failBefore(HawserError(.sessionOver, "The session is over.", isRetryable: true)),
        on: .put,
        keys: .kind(.snapshot)
    )

    private func backUp(_ fixture: TestRepository, _ store: FaultyStore) async throws -> ObjectName {
        let repository = try await Repository.open(
            at: TargetDataMover(store: store),
            password: .test,
            cacheRoot: fixture.cacheRoot
        )
        return try await TestSession(repository).backUp([TestFile("a", count: 300_000, seed: 1)])
    }

    @Test("is made once everything that it needs was found to be there")
    func proves() async throws {
        try await TestRepository.with { fixture in
            let store = FaultyStore(fixture.memory, faults: [Self.fault])
            let id = try await backUp(fixture, store)
            try store.verifyAllFired()
            #expect(try await fixture.keys(.snapshot) == [.named(.snapshot, id)])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("is not made when something that it needs has gone")
    func gone() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp([TestFile("a", count: 300_000, seed: 1)])
            let snapshots = try await fixture.keys(.snapshot)
            // Known from the index, and no longer there.
            for key in try await fixture.keys(.dataPack) { try await fixture.memory.delete([key]) }
            let store = FaultyStore(fixture.memory, faults: [Self.fault])
            await #expect(throws: RepositoryWriter.Condemnation.self) { try await backUp(fixture, store) }
            try store.verifyAllFired()
            #expect(try await fixture.keys(.snapshot) == snapshots)
        }
    }
}
