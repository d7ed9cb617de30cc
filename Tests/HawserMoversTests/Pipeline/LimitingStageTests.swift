import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import HawserTesting
import Testing

@Suite("The stage that limits the speed")
struct LimitingStageTests {
    @Test("A backup that waits for the storage is limited by the upload")
    func limitedByUpload() async throws {
        try await PipelineFixture.with { fixture in
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .put, keys: .kind(.dataPack)))
            let mover = try await fixture.mover(fixture.open())
            async let backup = mover.backup(
                GeneratedSource([GeneratedNode("/data/f", .file, [.noise(seed: 1, length: 100_000)])])
            )
            try await gate.waitForArrivals(1)
            // Ten times as long as all other stages together had.
            let before = mover.progress.elapsed
            while mover.progress.elapsed < before * 10 + .seconds(1) { await Task.yield() }
            gate.open()
            #expect(try await backup.limitingStage == .upload)
            #expect(mover.progress.limitingStage == .upload)
        }
    }

    @Test("A backup that waits for its source's directories is limited by the walk")
    func limitedByWalk() async throws {
        try await PipelineFixture.with { fixture in
            let mover = try await fixture.mover(fixture.open())
            let last = GeneratedNode("/data/z").entry.path
            let source = GeneratedSource(
                [GeneratedNode("/data/a", .file, [.noise(seed: 1, length: 100_000)]), GeneratedNode("/data/z")],
                visited: { path in
                    guard path == last else { return }
                    let before = mover.progress.elapsed
                    while mover.progress.elapsed < before * 10 + .seconds(1) { await Task.yield() }
                }
            )
            #expect(try await mover.backup(source).limitingStage == .walk)
        }
    }

    @Test("A restore that waits for the storage is limited by fetching")
    func limitedByFetching() async throws {
        try await PipelineFixture.with { fixture in
            let node = GeneratedNode("/data/file", .file, [.noise(seed: 1, length: 100_000)])
            let backup = try await fixture.backUp(GeneratedSource([node]))
            let repository = try await fixture.open()
            let snapshot = try await repository.snapshot(#require(backup.snapshotID))
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .get, keys: .kind(.dataPack)))
            let mover = RestoreMover(
                repository,
                RestoreRequest(snapshot, target: Array((fixture.folder + "/target").utf8))
            )
            async let restore = mover.run()
            try await gate.waitForArrivals(1)
            // By far longer than all other stages, however many could fetch at a time.
            let before = mover.progress.elapsed
            while mover.progress.elapsed < before * 20 { await Task.yield() }
            gate.open()
            #expect(try await restore.limitingStage == .fetch)
        }
    }
}
