import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import HawserTesting
import Synchronization
import Testing

@Suite("Packs that are marked for deletion while a backup runs")
struct CondemnedTests {
    private static let nodes = (0..<6).map {
        GeneratedNode("/data/\($0)", .file, [.noise(seed: UInt64($0), length: 900_000)])
    }

    /// That the last snapshot is whole without what was marked: the packs are deleted as a prune would.
    private func expectWholeWithout(_ packs: [ObjectKey], _ fixture: PipelineFixture, _ summary: BackupSummary)
        async throws
    {
        try await fixture.memory.delete(packs)
        try await fixture.expect(GeneratedSource(Self.nodes).nodes, in: summary)
    }

    @Test("Marked before the run: stored again")
    func before() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource(Self.nodes))
            let packs = try await fixture.keys(.dataPack) + fixture.keys(.metadataPack)
            try await fixture.condemn(packs)
            let source = GeneratedSource(Self.nodes)
            let summary = try await fixture.backUp(source)
            try await expectWholeWithout(packs, fixture, summary)
        }
    }

    @Test("Marked while the run is reading: noticed at the commit, stored again, and counted once")
    func during() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource(Self.nodes))
            let packs = try await fixture.keys(.dataPack) + fixture.keys(.metadataPack)
            let isDone = Mutex(false)
            var unreadable = GeneratedNode("/data/x")
            unreadable.problem = HawserError(.accessDenied, "no")
            let source = GeneratedSource(
                Self.nodes + [unreadable],
                visited: { path in
                    guard path == Self.nodes[5].entry.path else { return }
                    let isFirst = isDone.withLock { done in
                        defer { done = true }
                        return !done
                    }
                    if isFirst { try await fixture.condemn(packs) }
                }
            )
            let told = Mutex(0)
            let mover = try await fixture.mover(fixture.open(), report: { _ in told.withLock { $0 += 1 } })
            let summary = try await mover.backup(source)
            #expect(summary.files.total == 6 && summary.filesProcessed == 6)
            #expect(summary.problemCount == 1)
            #expect(told.withLock { $0 } == 1)
            try await expectWholeWithout(packs, fixture, summary)
        }
    }

    @Test("Marked between the refs and the snapshot: the snapshot is not written with them")
    func atCommit() async throws {
        try await PipelineFixture.with { fixture in
            let gate = Gate()
            fixture.store.add(Fault(.holdAnswer(gate), on: .put, keys: .kind(.refs)))
            let job = Task { try await fixture.backUp(GeneratedSource(Self.nodes)) }
            try await gate.waitForArrivals(1)
            let packs = try await fixture.keys(.dataPack) + fixture.keys(.metadataPack)
            try await fixture.condemn(packs)
            gate.open()
            try await expectWholeWithout(packs, fixture, job.value)
            #expect(try await fixture.keys(.snapshot).count == 1)
        }
    }

    @Test("Marked and still there: a stream, which can't be read again, is committed all the same")
    func stream() async throws {
        try await PipelineFixture.with { fixture in
            let gate = Gate()
            fixture.store.add(Fault(.holdAnswer(gate), on: .put, keys: .kind(.refs)))
            let bytes = Corpus.incompressible(3 << 20, seed: 5)
            let (chunks, input) = AsyncStream<[UInt8]>.makeStream()
            input.yield(bytes)
            input.finish()
            async let job = fixture.backUp(StreamSource(chunks: chunks))
            try await gate.waitForArrivals(1)
            let packs = try await fixture.keys(.dataPack) + fixture.keys(.metadataPack)
            try await fixture.condemn(packs)
            gate.open()
            let summary = try await job
            try await fixture.memory.delete(packs)
            let repository = try await fixture.openElsewhere()
            let snapshot = try await repository.snapshot(#require(summary.snapshotID))
            let entry = try #require(await repository.entry(at: StreamSource.defaultPath, of: snapshot.root))
            let reader = BlobReader(repository)
            var found: [UInt8] = []
            try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
                if case .data(let id, _) = extent { found += try await reader.read(id, type: .data) }
            }
            #expect(found == bytes)
        }
    }

    @Test("Marked at each commit: an end all the same, and no snapshot")
    func again() async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource(Self.nodes)
            // A collector gone mad.
            let target = WatchedTarget(base: fixture.target) { key in
                guard key.kind == .refs else { return }
                try await fixture.condemn(fixture.keys(.dataPack) + fixture.keys(.metadataPack))
            }
            let repository = try await fixture.open(through: target)
            await expectCode(.pruneInTheWay) { try await fixture.backUp(source, in: repository) }
            #expect(try await fixture.keys(.snapshot).isEmpty)
        }
    }
}
