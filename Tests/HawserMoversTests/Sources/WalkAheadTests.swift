import HawserFormat
import HawserMovers
import Synchronization
import Testing

@Suite("A walk that begins before the backup", .timeLimit(.minutes(1)))
struct WalkAheadTests {
    private static let nodes = (0..<30_000).map { GeneratedNode("/data/\($0)") }

    private static func paths(_ source: any BackupSource) async throws -> [EntryPath] {
        var paths: [EntryPath] = []
        try await source.walk { item in
            if case .entry(let entry) = item { paths.append(entry.path) }
        }
        return paths
    }

    @Test("It goes ahead by itself, not without bounds, and gives the same entries")
    func ahead() async throws {
        let seen = Atomic(0)
        let (progress, input) = AsyncStream<Int>.makeStream()
        let source = GeneratedSource(Self.nodes) { _ in
            input.yield(seen.add(1, ordering: .relaxed).newValue)
        }
        let found = try await withWalkAhead(of: source) { source in
            for await count in progress where count == 5_000 { break }
            #expect(seen.load(ordering: .relaxed) < 20_000)
            return try await Self.paths(source)
        }
        #expect(found == source.nodes.map(\.entry.path))
    }

    @Test("A backup that ends before it walks ends it, too")
    func unused() async throws {
        let source = GeneratedSource(Self.nodes)
        await #expect(throws: HawserError.self) {
            try await withWalkAhead(of: source) { _ in throw HawserError(.wrongPassword, "Wrong.") }
        }
    }

    @Test("Who gives up can walk again, from the beginning, when the first walk is over")
    func again() async throws {
        struct Enough: Error {}
        let walking = Atomic(0)
        let source = GeneratedSource(Self.nodes) { path in
            // The root is where a walk begins, the last entry where it ends unless it is given up.
            if path.isRoot { walking.add(1, ordering: .relaxed) }
        }
        let found = try await withWalkAhead(of: source) { source in
            var count = 0
            await #expect(throws: Enough.self) {
                try await source.walk { _ in
                    count += 1
                    if count == 100 { throw Enough() }
                }
            }
            #expect(walking.load(ordering: .relaxed) == 1)
            return try await Self.paths(source)
        }
        #expect(walking.load(ordering: .relaxed) == 2)
        #expect(found == source.nodes.map(\.entry.path))
    }

    @Test("What ends the walk comes to whoever walks")
    func failure() async throws {
        let source = GeneratedSource(Self.nodes) { path in
            if path.description.hasSuffix("999") { throw HawserError(.fileSystem, "The disk is gone.") }
        }
        _ = try await withWalkAhead(of: source) { source in
            await #expect(throws: HawserError.self) { try await source.walk { _ in } }
        }
    }
}
