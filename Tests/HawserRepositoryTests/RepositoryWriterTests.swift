import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Writing")
struct RepositoryWriterTests {
    // Several data packs of 4 MiB.
    private let files = (1...3).map { TestFile("file-\($0)", count: 3_000_000, seed: UInt64($0)) }

    @Test("What was backed up comes back; the same again stores nothing")
    func backsUp() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let packs = try await fixture.keys("packs/")
            #expect(packs.count >= 4)
            let session = try await TestSession(fixture.open())
            let second = try await session.backUp(files)
            #expect(try await fixture.keys("packs/") == packs)
            #expect(await session.writer.currentTotals.packs == 0)
            for snapshot in [id, second] { try await fixture.open(cache: false).expect(files, in: snapshot) }
        }
    }

    @Test(
        "Failing at any step, no snapshot is visible, and the next run succeeds",
        arguments: [ObjectKind.dataPack, .metadataPack, .dataIndex, .metadataIndex, .refs, .snapshot]
    )
    func failsBeforeCommit(kind: ObjectKind) async throws {
        try await TestRepository.with { fixture in
            fixture.store.add(Fault(.failBefore(.permanent()), on: .put, keys: .kind(kind)))
            await expectCode(.accessDenied) { try await fixture.backUp(files) }
            try fixture.store.verifyAllFired()
            #expect(try await fixture.keys(.snapshot).isEmpty)
            // Nothing later in the order is there.
            let order: [ObjectKind] = [.dataPack, .dataIndex, .refs, .snapshot]
            let step = order.firstIndex(
                of: kind == .metadataPack ? .dataPack : kind == .metadataIndex ? .dataIndex : kind
            )
            for later in order.dropFirst((step ?? 0) + 1) { #expect(try await fixture.keys(later).isEmpty, "\(later)") }

            let id = try await fixture.backUp(files)
            #expect(try await fixture.check(.all).errorCount == 0)
            try await fixture.open().expect(files, in: id)
        }
    }

    @Test("Refs are durable before the snapshot and name all of its packs")
    func refsBeforeSnapshot() async throws {
        try await TestRepository.with { fixture in
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .put, keys: .kind(.snapshot)))
            try await withThrowingTaskGroup(of: ObjectName.self) { group in
                group.addTask { try await fixture.backUp(files) }
                try await gate.waitForArrivals(1)
                #expect(try await fixture.keys(.refs).count == 1)
                #expect(try await fixture.keys(.snapshot).isEmpty)
                gate.open()
                let id = try #require(await group.next())
                let named = try await fixture.open().packs(of: id).map(\.key)
                #expect(Set(named) == Set(try await fixture.keys("packs/")))
            }
        }
    }

    @Test("A pack that is marked for deletion while the session runs keeps the snapshot from being written")
    func noticesCondemnation() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            let repository = try await fixture.open()
            let session = try TestSession(repository)
            let root = try await session.store(files)
            // The collector's mark comes after everything was found to be there.
            let doomed = try #require(repository.index.packs.first { !$0.isMetadata })
            let mark = try Condemned(packs: [doomed], fence: 0, created: Timestamp(seconds: 1)).encode()
            _ = try await fixture.target.store(SealedObject(kind: .condemned, bytes: mark))
            let condemnation = await #expect(throws: RepositoryWriter.Condemnation.self) {
                try await session.writer.commit(session.snapshot(root))
            }
            #expect(condemnation?.packs == [doomed.name])
            #expect(try await fixture.keys(.snapshot).count == 1)

            // Unknown from now on, its chunks are stored again, and the collector may delete it.
            repository.index.condemn([doomed.name])
            let id = try await TestSession(repository).backUp(files)
            try await fixture.target.delete([doomed.key])
            #expect(!(try await repository.packs(of: id)).contains(doomed))
            let repaired = try await fixture.open()
            repaired.index.condemn([doomed.name])
            try await repaired.expect(files, in: id)
        }
    }

    @Test("A condemned object that can't be read stops the commit; one that has gone does not")
    func condemnedMustBeReadable() async throws {
        try await TestRepository.with { fixture in
            let pack = PackReference(name: ObjectName(hashOf: [1]), length: 1 << 16, isMetadata: false)
            let mark = try Condemned(packs: [pack], fence: 0, created: Timestamp(seconds: 1)).encode()
            let object = SealedObject(kind: .condemned, bytes: mark)
            _ = try await fixture.target.store(object)
            fixture.store.add(Fault(.failBefore(HawserError(.notFound, "gone")), on: .get, keys: .kind(.condemned)))
            try await fixture.backUp([TestFile("a", count: 1_000, seed: 1)])
            try fixture.store.verifyAllFired()
            try await fixture.flipBit(of: object.key)
            await expectCode(.damaged) { try await fixture.backUp([TestFile("b", count: 1_000, seed: 2)]) }
            #expect(try await fixture.keys(.snapshot).count == 1)
        }
    }
}
