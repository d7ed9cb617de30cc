import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import HawserTesting
import Synchronization
import Testing

@Suite("Interrupted, failing and simultaneous backups")
struct SessionTests {
    /// Files of the same names, more than one pack of them; those of another seed are others to the next backup.
    private static func nodes(_ seed: UInt64 = 1, count: Int = 16) -> [GeneratedNode] {
        (0..<count).map { number in
            let node = GeneratedNode("/data/\(100 + number)")
            let content = Stretch.noise(seed: seed &* 100 &+ UInt64(number), length: 900_000)
            return node.rewritten([content], at: 1_600_000_000 + Int64(seed))
        }
    }

    @Test(
        "Cancelled while it reads: nothing is visible, and the same repository value serves the next backup",
        arguments: [0, 7, 15]
    )
    func cancelled(atFile number: Int) async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let gate = Gate()
            let source = GeneratedSource(
                Self.nodes(),
                reading: { path, _ in if path == Self.nodes()[number].entry.path { try await gate.pass() } }
            )
            let job = Task { try await fixture.backUp(source, in: repository) }
            try await gate.waitForArrivals(1)
            job.cancel()
            await #expect(throws: CancellationError.self) { try await job.value }
            #expect(source.openFiles == 0)
            #expect(try await fixture.keys(.snapshot).isEmpty)

            let next = GeneratedSource(Self.nodes())
            try await fixture.expect(next.nodes, in: fixture.backUp(next, in: repository))
        }
    }

    @Test(
        "Cancelled while it walks, uploads, or commits",
        arguments: [nil, .dataPack, .metadataPack, .dataIndex, .refs, .snapshot] as [ObjectKind?]
    )
    func cancelledElsewhere(kind: ObjectKind?) async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let gate = Gate()
            if let kind { fixture.store.add(Fault(.hold(gate), on: .put, keys: .kind(kind), occurrence: .every)) }
            let source = GeneratedSource(
                Self.nodes(),
                visited: { path in if kind == nil, path == Self.nodes()[10].entry.path { try await gate.pass() } }
            )
            let job = Task { try await fixture.backUp(source, in: repository) }
            try await gate.waitForArrivals(1)
            job.cancel()
            await #expect(throws: CancellationError.self) { try await job.value }
            #expect(try await fixture.keys(.snapshot).isEmpty)
            gate.open()

            let next = GeneratedSource(Self.nodes())
            try await fixture.expect(next.nodes, in: fixture.backUp(next, in: repository))
        }
    }

    @Test("What an interrupted backup had stored is not stored again by the same process")
    func reuse() async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let gate = Gate()
            let last = Self.nodes(count: 30)[29].entry.path
            // 27 MB fill a pack of 12 MiB before the last file is read.
            let source = GeneratedSource(
                Self.nodes(count: 30),
                reading: { path, _ in if path == last { try await gate.pass() } }
            )
            let job = Task { try await fixture.backUp(source, in: repository) }
            try await gate.waitForArrivals(1)
            while try await fixture.keys(.dataPack).isEmpty { await Task.yield() }
            let stored = fixture.memory.totalLength
            job.cancel()
            _ = await job.result

            let next = GeneratedSource(Self.nodes(count: 30))
            let summary = try await fixture.backUp(next, in: repository)
            #expect(summary.dataAddedPacked + UInt64(stored) < 34 << 20)
            try await fixture.expect(next.nodes, in: summary)
        }
    }

    @Test(
        "A store that fails: the error comes out, no snapshot is visible, the next backup works",
        arguments: [
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.dataPack)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.dataPack), occurrence: .only(2)),
            Fault(.failAfter(.permanent()), on: .put, keys: .kind(.dataPack)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.metadataPack)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.dataIndex)),
            Fault(.failAfter(.permanent()), on: .put, keys: .kind(.dataIndex)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.metadataIndex)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.refs)),
            Fault(.failBefore(.permanent()), on: .put, keys: .kind(.snapshot)),
            // Both begin with this, and are listed together when a session begins; condemned ones again at its end.
            Fault(.failBefore(.permanent()), on: .list, keys: .prefix("c")),
            Fault(.failBefore(.permanent()), on: .list, keys: .kind(.condemned)),
            Fault(.failBefore(.permanent()), on: .list, keys: .kind(.snapshot)),
        ]
    )
    func storeFails(fault: Fault) async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            fixture.store.add(fault)
            await expectCode(.accessDenied) { try await fixture.backUp(GeneratedSource(Self.nodes()), in: repository) }
            try fixture.store.verifyAllFired()
            #expect(try await fixture.keys(.snapshot).isEmpty)

            let next = GeneratedSource(Self.nodes())
            try await fixture.expect(next.nodes, in: fixture.backUp(next, in: repository))
        }
    }

    @Test("A full storage says so", arguments: [0, 1 << 20, 12 << 20])
    func full(after bytes: Int) async throws {
        try await PipelineFixture.with { fixture in
            fixture.store.add(Fault(.full(afterBytes: bytes), on: .put, occurrence: .every))
            await expectCode(.storageFull) { try await fixture.backUp(GeneratedSource(Self.nodes())) }
            let snapshots = try await fixture.keys(.snapshot)
            #expect(snapshots.isEmpty)
        }
    }

    @Test("An error of the source itself ends the backup and is thrown")
    func sourceFails() async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let source = GeneratedSource(
                Self.nodes(),
                visited: { if $0 == Self.nodes()[9].entry.path { throw HawserError(.notFound, "gone") } }
            )
            await expectCode(.notFound) { try await fixture.backUp(source, in: repository) }
            let next = GeneratedSource(Self.nodes())
            try await fixture.expect(next.nodes, in: fixture.backUp(next, in: repository))
        }
    }

    @Test(
        "Two backups of the same new data at once on one repository value: both snapshots stand alone",
        arguments: [false, true]
    )
    func twoAtOnce(oneFails: Bool) async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let gate = Gate()
            let nodes = Self.nodes()
            // The first one holds claims on nearly everything while the second one runs from beginning to end.
            let slow = GeneratedSource(
                nodes,
                reading: { path, _ in if path == nodes[15].entry.path { try await gate.pass() } }
            )
            let first = Task { try await fixture.backUp(slow, in: repository) }
            try await gate.waitForArrivals(1)
            let quick = GeneratedSource(nodes)
            let second = try await fixture.backUp(quick, in: repository) { $0.tags = ["second"] }
            try await fixture.expect(nodes: quick, second)
            if oneFails {
                first.cancel()
                _ = await first.result
            } else {
                gate.open()
                try await fixture.expect(nodes: slow, first.value)
            }
            try await fixture.expect(nodes: quick, second)
        }
    }

    @Test("Two backups with one cache directory and a check at the same time")
    func twoAndCheck() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource(Self.nodes(3)))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for seed in [1, 2] as [UInt64] {
                    group.addTask {
                        let source = GeneratedSource(Self.nodes(seed))
                        try await fixture.expect(nodes: source, fixture.backUp(source))
                    }
                }
                group.addTask {
                    let summary = try await RepositoryCheck(fixture.open(), data: .all).run()
                    #expect(summary.errorCount == 0)
                }
                try await group.waitForAll()
            }
            let summary = try await RepositoryCheck(fixture.open(), data: .all).run()
            #expect(summary.errorCount == 0 && summary.snapshots == 3)
        }
    }
}

extension PipelineFixture {
    func expect(nodes source: GeneratedSource, _ summary: BackupSummary) async throws {
        try await expect(source.nodes, in: summary)
    }
}
