import Foundation
import Testing

@testable import EndToEndTests

/// Object locks of a real server.
@Suite("Object locks", .needsServer, .serialized)
struct LockTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    @Test("What a backup needs is locked, the next one locks it longer, and a prune leaves it", .needs("LOCKED"))
    func locked() async throws {
        let bench = try server.bench(bucket: server.extra("LOCKED"))
        try await bench.hawser("init", "--lock-days", "3").expect(0)
        try bench.write(files: 2, of: 1 << 20, named: "data")
        try await bench.backup()
        try await bench.hawser("check", "--read-data").expect(0)
        // A machine that knows nothing of earlier locks asks for all of them.
        try FileManager.default.removeItem(atPath: bench.cache)
        let second = try await bench.backup()
        try await bench.hawser("check").expect(0)
        try await bench.restore(second.snapshot, to: "target").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("target"))

        let ids = try await bench.snapshots().compactMap { $0["id"] as? String }
        try await bench.start(["forget"] + ids).result().expect(0)
        let prune = try await bench.hawser("prune", "--no-grace", "--json")
        prune.expect(0)
        let summary = try #require(prune.message("summary"), "\(prune)")
        #expect(try #require(summary["locked_packs"] as? Int) >= 2)
        #expect(summary["marked_packs"] as? Int == 0)
    }

    @Test("A bucket without locks is refused, and nothing is left in it", .needs("LOCKED"))
    func plainBucket() async throws {
        let prefix = TestedServer.freshPrefix()
        let bench = try server.bench(prefix: prefix)
        let result = try await bench.hawser("init", "--lock-days", "1")
        result.expect(1)
        #expect(result.allText.contains("has no object locks"), "\(result)")
        try await bench.hawser("snapshots").expect(10)
    }
}
