import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `forget` and `prune` as commands. Not beside other tests: the moments of the kills are measured.
@Suite("Forget and prune", .serialized)
struct PruneTests {
    private static func write(_ files: Int, in folder: String, _ generator: inout SeededGenerator) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for index in 0..<files {
            try Data(generator.bytes(150_000)).write(to: URL(filePath: folder + "/\(index)"))
        }
    }

    private static func stored(_ bench: Workbench) throws -> Int {
        try bench.objects("packs/").map(bench.length).reduce(0, +)
    }

    @Test("Prunes killed at random leave every snapshot whole, and the last one frees all that nothing needs")
    func kills() async throws {
        print("seed \(TestScale.seed), \(TestScale.kills) kills")
        var generator = SeededGenerator(seed: TestScale.seed)
        let bench = try await Workbench.withRepository()
        let rounds = max(1, TestScale.kills) + 2
        for round in 0..<rounds {
            try Self.write(12, in: bench.source + "/round-\(round)", &generator)
            try? FileManager.default.removeItem(atPath: bench.source + "/round-\(round - 2)")
            // Half of a round's files stay for good, so that packs are in part of use.
            for index in 0..<6 where round > 0 {
                let file = "/round-\(round - 1)/\(index)"
                try? FileManager.default.moveItem(
                    atPath: bench.source + file,
                    toPath: bench.source + "/kept-\(round)-\(index)"
                )
            }
            try await bench.backup("--tag", "round-\(round)")
        }
        let manifest = bench.directory.path + "/manifest"
        try await TreeComparison.writeManifest(of: bench.source, to: manifest)
        let before = try Self.stored(bench)

        let arguments = ["prune", "--no-grace", "--max-unused", "0"]
        let begin = ContinuousClock.now
        try await bench.start(arguments + ["--dry-run"]).result().expect(0)
        let whole = (ContinuousClock.now - begin) * 3
        for round in 0..<rounds - 1 {
            let oldest = try #require(
                try await bench.snapshots().first { ($0["tags"] as? [String]) == ["round-\(round)"] }?["id"] as? String
            )
            try await bench.hawser("forget", oldest).expect(0)
            let command = try bench.start(arguments)
            let delay = whole * Double.random(in: 0..<1.2, using: &generator)
            try await Task.sleep(for: delay)
            command.send(SIGKILL)
            let killed = try await command.result()
            #expect(killed.end == .signal(SIGKILL) || killed.status == 0, "after \(delay): \(killed)")
            let check = try await bench.hawser("check", "--read-data")
            #expect(check.status == 0, "killed after \(delay)\n\(check)")
        }
        try await bench.start(arguments).result().expect(0)
        try await bench.start(arguments).result().expect(0)
        try await bench.hawser("check", "--read-data").expect(0)
        try await bench.restore("latest", to: "restored").expect(0)
        let differences = try await TreeComparison.differences(manifest, bench.restored("restored"))
        #expect(differences.isEmpty, "\(differences)")
        // The last snapshot alone, and little beside it.
        let files = try FileManager.default.subpathsOfDirectory(atPath: bench.source).count
        #expect(try Self.stored(bench) < files * 150_000 * 11 / 10 + (1 << 20))
        #expect(try Self.stored(bench) < before)
    }

    @Test("Forget explains itself, prune waits a day, and says so")
    func policy() async throws {
        var generator = SeededGenerator(seed: 1)
        let bench = try await Workbench.withRepository()
        for round in 0..<3 {
            try Self.write(2, in: bench.source + "/round-\(round)", &generator)
            try await bench.backup("--time", "2026-0\(round + 1)-01 12:00:00")
        }
        try await bench.hawser("forget").expect(64)
        try await bench.hawser("forget", "--keep-last", "0").expect(64)
        let dry = try await bench.hawser("forget", "--keep-last", "1", "--keep-yearly", "3", "--dry-run")
        dry.expect(0)
        #expect(dry.text.contains("last snapshot, yearly snapshot") && dry.text.contains("oldest yearly snapshot"))
        #expect(dry.text.contains("no rule keeps it"))
        #expect(try await bench.snapshots().count == 3)
        let forget = try await bench.hawser("forget", "--keep-last", "1", "--json")
        forget.expect(0)
        #expect((forget.objects.first?["remove"] as? [[String: Any]])?.count == 2)
        #expect(try await bench.snapshots().count == 1)
        let prune = try await bench.hawser("prune", "--json")
        prune.expect(0)
        let summary = try #require(prune.message("summary"))
        // Nothing is seven days old.
        #expect(summary["marked_packs"] as? Int == 0 && summary["deleted_packs"] as? Int == 0)
        try await bench.hawser("check", "--read-data").expect(0)
    }
}
