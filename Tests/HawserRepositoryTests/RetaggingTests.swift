import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Tags")
struct RetaggingTests {
    private let files = [TestFile("a", count: 5_000, seed: 1)]
    private func tag(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("Tags are set, added and removed without doubles")
    func changes() {
        let tags = [tag("a"), tag("b")]
        #expect(TagChange.set([tag("c"), tag("c")]).applied(to: tags) == [tag("c")])
        #expect(TagChange.change(adding: [tag("c"), tag("b")], removing: []).applied(to: tags) == tags + [tag("c")])
        #expect(TagChange.change(adding: [], removing: [tag("a")]).applied(to: tags) == [tag("b")])
    }

    @Test("A snapshot with other tags takes the place of the first, which stays its original")
    func retags() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let repository = try await fixture.open()
            let first = StoredSnapshot(id: id, snapshot: try await repository.snapshot(id))
            let second = try #require(await repository.retag(first, .set([tag("x")])))
            #expect(try await repository.retag(repository.snapshot(named: second.hex), .set([tag("x")])) == nil)
            let third = try #require(
                await repository.retag(
                    repository.snapshot(named: second.hex),
                    .change(adding: [tag("y")], removing: [tag("x")])
                )
            )
            let snapshots = try await repository.snapshots()
            #expect(snapshots.map(\.id) == [third])
            #expect(snapshots[0].snapshot.tags == [tag("y")])
            #expect(snapshots[0].snapshot.original == id)
            try await repository.expect(files, in: third)
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Failing at any step, at least one snapshot is whole", arguments: [ObjectKind.refs, .snapshot])
    func survivesFailures(kind: ObjectKind) async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let repository = try await fixture.open()
            fixture.store.add(Fault(.failBefore(.permanent()), on: .put, keys: .kind(kind)))
            let stored = StoredSnapshot(id: id, snapshot: try await repository.snapshot(id))
            await expectCode(.accessDenied) { try await repository.retag(stored, .set([tag("x")])) }
            try fixture.store.verifyAllFired()
            #expect(try await repository.snapshots().map(\.id) == [id])
            #expect(try await fixture.check().findings.isEmpty)
        }
    }

    @Test("Without readable refs a snapshot keeps its tags")
    func needsRefs() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            try await fixture.target.delete(fixture.keys(.refs))
            let repository = try await fixture.open()
            let stored = StoredSnapshot(id: id, snapshot: try await repository.snapshot(id))
            await expectCode(.damaged) { try await repository.retag(stored, .set([tag("x")])) }
            #expect(try await repository.snapshots().map(\.id) == [id])
        }
    }
}
