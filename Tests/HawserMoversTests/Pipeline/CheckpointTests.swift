import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import HawserTesting
import Testing

@Suite("Checkpoints")
struct CheckpointTests {
    private struct Stop: Error {}

    private static let nodes: [GeneratedNode] =
        (0..<6).map { GeneratedNode("/data/a\($0)", .file, [.noise(seed: UInt64($0), length: 900_000)]) }
        + [GeneratedNode("/data/big", .file, [.noise(seed: 77, length: 24 << 20)])]
        + (0..<8).map { GeneratedNode("/data/c\($0)", .file, [.noise(seed: 50 + UInt64($0), length: 900_000)]) }

    private static let total = nodes.map(\.content).reduce(0) { $0 + $1.length }

    /// A backup that ends when a checkpoint has this file whole, or the first part of a large one.
    private func interrupt(
        _ fixture: PipelineFixture,
        _ nodes: [GeneratedNode] = nodes,
        at path: String,
        paths: [String] = ["/data"],
        _ change: (inout BackupOptions) -> Void = { _ in }
    ) async throws {
        let source = GeneratedSource(nodes, paths: paths)
        let file = GeneratedNode(path).entry.path
        var options = BackupOptions(hostname: Array("host".utf8), username: [])
        change(&options)
        let (hostname, excludes) = (options.hostname, options.excludes.map { Array($0.utf8) })
        let target = WatchedTarget(base: fixture.target) { key in
            guard key.kind == .checkpoint else { return }
            let repository = try await fixture.openElsewhere()
            let checkpoint = try await repository.checkpoint(
                of: repository.sessionStart(),
                hostname: hostname,
                paths: source.paths,
                excludes: excludes,
                startedAfter: nil
            )
            let hasFile = checkpoint?.prefix.map { file <= $0.lastPath } ?? false
            if hasFile || checkpoint?.fileInWork?.entry.path == file { throw Stop() }
        }
        let repository = try await fixture.open(through: target)
        await #expect(throws: Stop.self) {
            try await fixture.backUp(source, in: repository) {
                $0.checkpointInterval = .zero
                change(&$0)
            }
        }
        let snapshots = try await fixture.keys(.snapshot)
        #expect(snapshots.isEmpty)
    }

    @Test(
        "The next run reads less, and its tree is the one that a run in one go makes",
        arguments: ["/data/a1", "/data/big", "/data/c0"]
    )
    func resumes(at path: String) async throws {
        try await PipelineFixture.with { fixture in
            try await interrupt(fixture, at: path)
            let source = GeneratedSource(Self.nodes)
            let summary = try await fixture.backUp(source)
            #expect(source.bytesRead() < Self.total)
            if path == "/data/big" { #expect(source.bytesRead(of: path) < 24 << 20) }
            if path == "/data/c0" { #expect(source.bytesRead(of: "/data/a0") == 0) }
            try await fixture.expect(source.nodes, in: summary)

            let repository = try await fixture.open()
            let whole = try await fixture.backUp(GeneratedSource(Self.nodes)) { $0.force = true }
            let first = try await repository.snapshot(#require(summary.snapshotID))
            let second = try await repository.snapshot(#require(whole.snapshotID))
            #expect(first.tree == second.tree)
        }
    }

    @Test("Interrupted at random points again and again, a backup comes to its end")
    func randomPoints() async throws {
        try await PipelineFixture.with { fixture in
            var generator = SplitMix64(seed: 9)
            for _ in 0..<5 {
                let limit = UInt64.random(in: 1..<Self.total, using: &generator)
                let source = Interrupted(GeneratedSource(Self.nodes), after: limit)
                _ = await Result { try await fixture.backUp(source) { $0.checkpointInterval = .milliseconds(20) } }
            }
            let source = GeneratedSource(Self.nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source) { $0.checkpointInterval = .zero })
        }
    }

    @Test("A file in work that has changed is read from its beginning")
    func changedInWork() async throws {
        try await PipelineFixture.with { fixture in
            try await interrupt(fixture, at: "/data/big")
            let nodes = Self.nodes.map {
                $0.entry.path.name.elementsEqual("big".utf8) ? $0.rewritten([.noise(seed: 78, length: 24 << 20)]) : $0
            }
            let source = GeneratedSource(nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
            #expect(source.bytesRead(of: "/data/big") == 24 << 20)
        }
    }

    @Test("A file in work that changes between the walk and reading is read from its beginning")
    func changedInWorkAtOpening() async throws {
        try await PipelineFixture.with { fixture in
            try await interrupt(fixture, at: "/data/big")
            let nodes = Self.nodes.map { node in
                guard node.entry.path.name.elementsEqual("big".utf8) else { return node }
                var node = node
                let changed = node.rewritten([.noise(seed: 78, length: 24 << 20)])
                node.atOpen = (changed.entry, changed.content)
                return node
            }
            let source = GeneratedSource(nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
        }
    }

    @Test("A file with holes resumes at its cut")
    func holes() async throws {
        try await PipelineFixture.with { fixture in
            let content: [Stretch] = [
                .hole(length: 1 << 40), .noise(seed: 1, length: 12 << 20), .hole(length: 5 << 20),
                .zeros(length: 9 << 20),
                .noise(seed: 2, length: 12 << 20), .hole(length: 1 << 40),
            ]
            let nodes = [GeneratedNode("/data/sparse", .file, content)]
            try await interrupt(fixture, nodes, at: "/data/sparse")
            let source = GeneratedSource(nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
            #expect(source.bytesRead() < 33 << 20)
        }
    }

    @Test("A file with more extents than are handed on at once resumes")
    func manyExtents() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = [ManyExtents.node("/data/many", count: 3000)]
            try await interrupt(fixture, nodes, at: "/data/many")
            let source = GeneratedSource(nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
            #expect(source.bytesRead() < 15_000_000)
        }
    }

    @Test("A file in work with more attributes than a page takes resumes")
    func manyAttributes() async throws {
        try await PipelineFixture.with { fixture in
            var node = ManyExtents.node("/data/many", count: 3000)
            node.entry.attributes = [
                ExtendedAttribute(name: Array("user.large".utf8), value: [UInt8](repeating: 7, count: 5000))
            ]
            try await interrupt(fixture, [node], at: "/data/many")
            let source = GeneratedSource([node])
            let summary = try await fixture.backUp(source)
            try await fixture.expect(source.nodes, in: summary)
            #expect(source.bytesRead() < 15_000_000)
            let repository = try await fixture.open()
            let root = try await repository.snapshot(#require(summary.snapshotID)).root
            #expect(try await repository.entry(at: node.entry.path, of: root)?.attributeBlob != nil)
        }
    }

    @Test("A file in work whose path is too long to be stored does not stop checkpoints")
    func longPath() async throws {
        try await PipelineFixture.with { fixture in
            let name = String(repeating: "n", count: 200)
            let path = "/data" + String(repeating: "/" + name, count: 90)
            let node = GeneratedNode(path, .file, [.noise(seed: 1, length: 24 << 20)])
            let source = GeneratedSource([node])
            let summary = try await fixture.backUp(source) { $0.checkpointInterval = .zero }
            #expect(summary.problems.contains { $0.path == node.entry.path })
        }
    }

    @Test("Other excludes, paths or host: not this backup's checkpoint", arguments: ["excludes", "paths", "host"])
    func others(what: String) async throws {
        try await PipelineFixture.with { fixture in
            try await interrupt(fixture, at: "/data/c0", paths: what == "paths" ? ["/data", "/other"] : ["/data"]) {
                if what == "excludes" { $0.excludes = ["*.o"] }
                if what == "host" { $0.hostname = Array("other".utf8) }
            }
            let source = GeneratedSource(Self.nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
            #expect(source.bytesRead() == Self.total)
        }
    }

    @Test("A finished backup's own checkpoints are of no use to the next one")
    func finished() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource(Self.nodes)) { $0.checkpointInterval = .milliseconds(1) }
            #expect(try await !fixture.keys(.checkpoint).isEmpty)
            let source = GeneratedSource(Self.nodes)
            let summary = try await fixture.backUp(source)
            #expect(source.bytesRead() == 0)
            #expect(summary.files.unmodified == UInt64(Self.nodes.count))
            try await fixture.expect(source.nodes, in: summary)
        }
    }

    @Test("The checkpoint's store fails: the error comes out")
    func storeFails() async throws {
        try await PipelineFixture.with { fixture in
            fixture.store.add(Fault(.failBefore(.permanent()), on: .put, keys: .kind(.checkpoint)))
            await expectCode(.accessDenied) {
                try await fixture.backUp(GeneratedSource(Self.nodes)) { $0.checkpointInterval = .zero }
            }
            try fixture.store.verifyAllFired()
            let source = GeneratedSource(Self.nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
        }
    }

    @Test("A checkpoint that can't be read costs reading again, no more")
    func damaged() async throws {
        try await PipelineFixture.with { fixture in
            try await interrupt(fixture, at: "/data/c0")
            for key in try await fixture.keys(.checkpoint) { fixture.memory.replace(key, with: [0]) }
            let source = GeneratedSource(Self.nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
        }
    }
}
