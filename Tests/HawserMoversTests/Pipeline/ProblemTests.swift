import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import Testing

@Suite("What can't be read of a source")
struct ProblemTests {
    private static let good: [Stretch] = [.noise(seed: 1, length: 300_000)]

    /// Backs the file up between two good ones.
    /// - Returns: what the snapshot has, by name.
    private func backUp(_ bad: GeneratedNode, problem: HawserError.Code?) async throws -> [String: Entry] {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource([
                GeneratedNode("/data/a", .file, Self.good), bad, GeneratedNode("/data/z", .file, Self.good),
            ])
            let summary = try await fixture.backUp(source)
            #expect(summary.problems.map(\.error.code) == (problem.map { [$0] } ?? []))
            #expect(summary.problems.allSatisfy { $0.path == bad.entry.path })
            #expect(source.openFiles == 0)
            if let problem, problem != .changed {
                try await fixture.expect(source.nodes.filter { $0.entry.path != bad.entry.path }, in: summary)
            }
            let repository = try await fixture.open()
            let id = try #require(summary.snapshotID)
            let snapshot = try await repository.snapshot(id)
            #expect(snapshot.isComplete == (problem == nil))
            #expect(snapshot.errorCount == (problem == nil ? 0 : 1))
            var entries: [String: Entry] = [:]
            for try await entry in repository.entries(of: snapshot.root) {
                entries[String(decoding: entry.path.name, as: UTF8.self)] = entry
            }
            #expect(entries["a"] != nil && entries["z"] != nil)
            return entries
        }
    }

    @Test("The walk can't see an entry: recorded, and the rest is stored")
    func unseen() async throws {
        var bad = GeneratedNode("/data/m")
        bad.problem = HawserError(.accessDenied, "no")
        #expect(try await backUp(bad, problem: .accessDenied)["m"] == nil)
    }

    @Test("What is no file vanishes between the walk and completing it: left out, and the rest is stored")
    func vanishedBeforeCompletion() async throws {
        var bad = GeneratedNode("/data/m", .fifo)
        bad.completionFailure = HawserError(.notFound, "gone")
        #expect(try await backUp(bad, problem: .notFound)["m"] == nil)
    }

    @Test("A directory that can't be completed stays for what is in it, and is completed by the next backup")
    func incompleteDirectory() async throws {
        try await PipelineFixture.with { fixture in
            let file = GeneratedNode("/data/m/file", .file, Self.good)
            var bad = GeneratedNode("/data/m", .directory)
            bad.completionFailure = HawserError(.fileSystem, "no attributes")
            let first = GeneratedSource([bad, file])
            let incomplete = try await fixture.backUp(first)
            #expect(incomplete.problems.map(\.path) == [bad.entry.path])
            try await fixture.expect(first.nodes, in: incomplete)

            let stillBad = try await fixture.backUp(GeneratedSource([bad, file]))
            #expect(stillBad.problems.map(\.path) == [bad.entry.path])
            bad.completionFailure = nil
            let mended = try await fixture.backUp(GeneratedSource([bad, file]))
            #expect(mended.problemCount == 0)
            let repository = try await fixture.open()
            let root = try await repository.snapshot(#require(mended.snapshotID)).root
            #expect(try await repository.entry(at: bad.entry.path, of: root)?.changedWhileRead == false)
        }
    }

    @Test("Of a source that is all or nothing, what can't be completed ends the backup")
    func incompleteButNeeded() async throws {
        try await PipelineFixture.with { fixture in
            var bad = GeneratedNode("/data", .directory)
            bad.completionFailure = HawserError(.notFound, "gone")
            let source = GeneratedSource([bad, GeneratedNode("/data/file", .file, Self.good)], isAllOrNothing: true)
            await expectCode(.notFound) { try await fixture.backUp(source) }
        }
    }

    @Test("What the source may not read is not said to be the repository")
    func deniedBySource() async throws {
        try await PipelineFixture.with { fixture in
            var bad = GeneratedNode("/data/file", .file, Self.good)
            bad.openFailure = HawserError(.accessDenied, "no")
            let source = GeneratedSource([bad], isAllOrNothing: true)
            await expectCode(.fileSystem) { try await fixture.backUp(source) }
            let walk = GeneratedSource([bad], visited: { _ in throw HawserError(.accessDenied, "no") })
            await expectCode(.fileSystem) { try await fixture.backUp(walk) }
        }
    }

    @Test("Attributes that no blob takes: the entry is left out, and the rest is stored")
    func tooManyAttributes() async throws {
        var bad = GeneratedNode("/data/m", .file, Self.good)
        bad.entry.attributes = (0..<140).map {
            ExtendedAttribute(name: Array("user.\(1000 + $0)".utf8), value: [UInt8](repeating: 7, count: 60 << 10))
        }
        #expect(try await backUp(bad, problem: .invalidArgument)["m"] == nil)
    }

    @Test("A file that can't be opened or has vanished", arguments: [100, 3 << 20] as [UInt64])
    func unreadable(length: UInt64) async throws {
        for code in [HawserError.Code.accessDenied, .notFound] {
            var bad = GeneratedNode("/data/m", .file, [.noise(seed: 2, length: length)])
            bad.openFailure = HawserError(code, "no")
            #expect(try await backUp(bad, problem: code)["m"] == nil)
        }
    }

    @Test(
        "A read error at the beginning, in the middle and at the end of a file",
        arguments: [0, 4 << 20, 11 << 20] as [UInt64]
    )
    func readError(offset: UInt64) async throws {
        var bad = GeneratedNode("/data/m", .file, [.noise(seed: 2, length: 12 << 20)])
        bad.readFailure = (offset, HawserError(.fileSystem, "I/O error"))
        #expect(try await backUp(bad, problem: .fileSystem)["m"] == nil)
    }

    @Test("A file that shrinks after the walk is stored as it is", arguments: [0, 100, 700_000, 6 << 20] as [UInt64])
    func shrunkBeforeOpening(length: UInt64) async throws {
        var bad = GeneratedNode("/data/m", .file, [.noise(seed: 2, length: 12 << 20)])
        let smaller = bad.rewritten(length == 0 ? [] : [.noise(seed: 3, length: length)])
        bad.atOpen = (smaller.entry, smaller.content)
        let entry = try #require(await backUp(bad, problem: nil)["m"])
        #expect(entry.size == length && !entry.changedWhileRead)
    }

    @Test("A file that shrinks while it is read has what was read, and the mark, and is a problem")
    func shrunkWhileRead() async throws {
        for (from, to) in [(400_000, 1000), (12 << 20, 5 << 20), (12 << 20, (5 << 20) + 1)] as [(UInt64, UInt64)] {
            var bad = GeneratedNode("/data/m", .file, [.noise(seed: 2, length: from)])
            bad.atOpen = (bad.entry, [.noise(seed: 2, length: to)])
            bad.afterwards = bad.rewritten([.noise(seed: 2, length: to)]).entry
            let entry = try #require(await backUp(bad, problem: .changed)["m"])
            #expect(entry.size == to && entry.changedWhileRead)
        }
    }

    @Test("What always counts as changed has the mark and is no problem", arguments: [1000, 12 << 20] as [UInt64])
    func alwaysChanged(length: UInt64) async throws {
        var device = GeneratedNode("/data/m", .file, [.noise(seed: 2, length: length)])
        device.entry.changedWhileRead = true
        device.afterwards = device.rewritten([.noise(seed: 2, length: length)]).entry
        let entry = try #require(await backUp(device, problem: nil)["m"])
        #expect(entry.changedWhileRead)
    }

    @Test("A file that grows after the walk is stored whole", arguments: [10, 5000, 600_000, 12 << 20] as [UInt64])
    func grown(length: UInt64) async throws {
        try await PipelineFixture.with { fixture in
            var file = GeneratedNode("/data/m")
            let larger = file.rewritten([.noise(seed: 3, length: length)])
            file.atOpen = (larger.entry, larger.content)
            let source = GeneratedSource([
                GeneratedNode("/data/a", .file, Self.good), file, GeneratedNode("/data/z", .file, Self.good),
            ])
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
        }
    }

    @Test("Growing files and checkpoints don't wait for each other")
    func grownAndCheckpoints() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = (0..<40).map { number in
                var file = GeneratedNode("/data/\(number)")
                let larger = file.rewritten([.noise(seed: UInt64(number), length: 1 << 20)])
                file.atOpen = (larger.entry, larger.content)
                return file
            }
            let source = GeneratedSource(nodes)
            try await fixture.expect(source.nodes, in: fixture.backUp(source) { $0.checkpointInterval = .zero })
        }
    }

    @Test("Many problems: all are counted, the first are kept, in the order of the walk for what the walk finds")
    func manyProblems() async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource(
                (0..<3000).map { number in
                    var node = GeneratedNode("/data/\(10_000 + number)")
                    if number % 2 == 0 { node.problem = HawserError(.accessDenied, "no") }
                    return node
                }
            )
            let summary = try await fixture.backUp(source)
            #expect(summary.problemCount == 1500)
            #expect(summary.problems.count == 1000)
            #expect(zip(summary.problems, summary.problems.dropFirst()).allSatisfy { $0.path < $1.path })
            try await fixture.expect(source.nodes.filter { $0.problem == nil }, in: summary)
        }
    }
}
