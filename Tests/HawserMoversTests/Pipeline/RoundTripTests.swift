import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import Testing

@Suite("Backups hold what the source has")
struct RoundTripTests {
    @Test(
        "Random trees come back; a second backup adds nothing; a third one holds the changes",
        arguments: [1, 2, 3] as [UInt64]
    )
    func randomTrees(seed: UInt64) async throws {
        try await PipelineFixture.with { fixture in
            let nodes = GeneratedTree.random(seed: seed)
            let first = GeneratedSource(nodes)
            let summary = try await fixture.backUp(first)
            try await fixture.expect(first.nodes, in: summary)
            #expect(summary.problems.isEmpty)
            #expect(first.openFiles == 0)

            let packs = try await fixture.keys(.dataPack) + fixture.keys(.metadataPack)
            let again = GeneratedSource(nodes)
            let second = try await fixture.backUp(again)
            #expect(again.bytesRead() == 0)
            #expect(second.newChunks == 0 && second.dataAdded == 0)
            #expect(second.files.unmodified == summary.files.total && second.parent == summary.snapshotID)
            #expect(try await fixture.keys(.dataPack) + fixture.keys(.metadataPack) == packs)
            try await fixture.expect(again.nodes, in: second)

            let changed = GeneratedSource(GeneratedTree.changed(nodes, seed: seed))
            let third = try await fixture.backUp(changed)
            try await fixture.expect(changed.nodes, in: third)
        }
    }

    @Test("Files of every threshold's length, alone in a backup", arguments: GeneratedTree.thresholds)
    func singleFile(length: UInt64) async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource([GeneratedNode("/data", .file, [.noise(seed: 1, length: length)])])
            let summary = try await fixture.backUp(source)
            try await fixture.expect(source.nodes, in: summary)
            #expect(summary.files.new == 1 && summary.bytesProcessed == length)
        }
    }

    @Test("The same bytes are stored once, whichever files they are in")
    func deduplication() async throws {
        try await PipelineFixture.with { fixture in
            let content: [Stretch] = [.noise(seed: 5, length: 3 << 20)]
            let source = GeneratedSource((0..<8).map { GeneratedNode("/data/\($0)", .file, content) })
            let summary = try await fixture.backUp(source)
            try await fixture.expect(source.nodes, in: summary)
            #expect(summary.dataAdded < 4 << 20)
        }
    }

    @Test("An image is cut at fixed lengths")
    func image() async throws {
        try await PipelineFixture.with { fixture in
            let content: [Stretch] = [
                .noise(seed: 1, length: 3 << 20), .hole(length: 1 << 20), .noise(seed: 2, length: 100),
            ]
            let source = GeneratedSource([GeneratedNode("/data", .file, content)], form: .image)
            let summary = try await fixture.backUp(source)
            try await fixture.expect(source.nodes, in: summary)
            let repository = try await fixture.open()
            let root = try await repository.snapshot(#require(summary.snapshotID)).root
            for try await entry in repository.entries(of: root) where entry.kind == .file {
                guard case .extents(let extents) = entry.content else { continue }
                #expect(extents.map(\.length) == [1 << 20, 1 << 20, 1 << 20, 1 << 20, 100])
            }
        }
    }

    @Test("Attributes of any length, also such that are only known when the file is read")
    func attributes() async throws {
        try await PipelineFixture.with { fixture in
            var nodes: [GeneratedNode] = []
            for number in 0..<400 {
                // The walk leaves out what opening the file shows.
                var late = GeneratedNode("/data/late\(number)", .file, [.noise(seed: 1, length: 10)])
                var complete = late.entry
                complete.attributes = [
                    ExtendedAttribute(name: Array("user.a".utf8), value: Array(repeating: 7, count: number * 20))
                ]
                late.atOpen = (complete, late.content)
                nodes.append(late)
                var early = GeneratedNode("/data/early\(number)", .directory)
                early.entry.attributes = [
                    ExtendedAttribute(
                        name: Array("user.a".utf8),
                        value: Array(repeating: UInt8(number % 9), count: 60_000)
                    )
                ]
                nodes.append(early)
            }
            let source = GeneratedSource(nodes)
            let summary = try await fixture.backUp(source)
            try await fixture.expect(source.nodes, in: summary)
        }
    }
}
