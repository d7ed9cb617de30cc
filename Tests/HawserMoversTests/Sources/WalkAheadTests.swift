import HawserFormat
import Synchronization
import Testing

@testable import HawserMovers

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
        let found = try await withWalkAhead(of: source, by: .seconds(3_600)) { source in
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
            try await withWalkAhead(of: source, by: .seconds(3_600)) { _ in throw HawserError(.wrongPassword, "Wrong.")
            }
        }
    }

    @Test(
        "Who gives up or is cancelled can walk again, from the beginning, when the first walk is over",
        arguments: [false, true]
    )
    func again(isCancelled: Bool) async throws {
        struct Enough: Error {}
        let source = OneAtATime(GeneratedSource(Self.nodes))
        let found = try await withWalkAhead(of: source, by: .seconds(3_600)) { ahead in
            await withTaskGroup { group in
                group.addTask {
                    await #expect(throws: (any Error).self) {
                        var count = 0
                        try await ahead.walk { _ in
                            count += 1
                            if count < 100 { return }
                            if !isCancelled { throw Enough() }
                            withUnsafeCurrentTask { $0?.cancel() }
                        }
                    }
                }
            }
            return try await Self.paths(ahead)
        }
        #expect(source.walks == 2)
        #expect(found == source.base.nodes.map(\.entry.path))
    }

    @Test("A walk that would be too old is made anew")
    func old() async throws {
        let source = OneAtATime(GeneratedSource(Self.nodes))
        let found = try await withWalkAhead(of: source, by: .zero) { ahead in
            try await Self.paths(ahead)
        }
        #expect(source.walks == 2)
        #expect(found == source.base.nodes.map(\.entry.path))
    }

    @Test("What ends the walk comes to whoever walks")
    func failure() async throws {
        let source = GeneratedSource(Self.nodes) { path in
            if path.description.hasSuffix("999") { throw HawserError(.fileSystem, "The disk is gone.") }
        }
        _ = try await withWalkAhead(of: source, by: .seconds(3_600)) { source in
            await #expect(throws: HawserError.self) { try await source.walk { _ in } }
        }
    }
}

/// Counts its walks, and records when two run at a time.
private final class OneAtATime: BackupSource {
    let base: GeneratedSource
    private let counts = Mutex((begun: 0, ended: 0))

    init(_ base: GeneratedSource) {
        self.base = base
    }

    var walks: Int { counts.withLock { $0.begun } }
    var paths: [[UInt8]] { base.paths }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        counts.withLock { counts in
            #expect(counts.begun == counts.ended)
            counts.begun += 1
        }
        defer { counts.withLock { $0.ended += 1 } }
        try await base.walk(visit)
    }

    func open(_ entry: Entry) async throws -> any SourceFile { try await base.open(entry) }
}
