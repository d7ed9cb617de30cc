import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `kill -9` at any moment loses no committed snapshot. Not beside other tests: the moments are measured.
@Suite("Kill", .serialized)
struct KillTests {
    @Test("Backups killed at random leave every committed snapshot whole")
    func randomKills() async throws {
        print("seed \(TestScale.seed), \(TestScale.kills) kills")
        var generator = SeededGenerator(seed: TestScale.seed)
        let bench = try await Workbench.withRepository()
        try write(files: 200, of: 60_000, in: bench, named: "base", generator: &generator)

        let begin = ContinuousClock.now
        try await bench.backup("--tag", "round-0")
        let whole = ContinuousClock.now - begin
        try await TreeComparison.writeManifest(of: bench.source, to: manifest(of: "round-0", in: bench))

        for round in 1...max(1, TestScale.kills) {
            let tag = "round-\(round)"
            // New files in each round, and earlier ones go, so that packs, index and trees are all in motion.
            try write(files: 40, of: 100_000, in: bench, named: tag, generator: &generator)
            try? FileManager.default.removeItem(atPath: bench.source + "/round-\(round - 3)")
            try await TreeComparison.writeManifest(of: bench.source, to: manifest(of: tag, in: bench))

            let command = try bench.start(["backup", bench.source, "--tag", tag, "--force"])
            let delay = whole * Double.random(in: 0..<1.2, using: &generator)
            try await Task.sleep(for: delay)
            command.send(SIGKILL)
            let killed = try await command.result()
            #expect(killed.end == .signal(SIGKILL) || killed.status == 0, "after \(delay): \(killed)")
            try await expectAllSnapshotsWhole(bench, "\(tag) killed after \(delay)")
        }

        try await bench.backup("--tag", "round-0-again")
        try await TreeComparison.writeManifest(of: bench.source, to: manifest(of: "round-0-again", in: bench))
        try await expectAllSnapshotsWhole(bench, "after the last kill")
    }

    @Test("After a kill the next backup stores again no more than was on its way")
    func killedBackupIsReused() async throws {
        let bench = try await Workbench.withRepository()
        var generator = SeededGenerator(seed: TestScale.seed)
        let size = TestScale.isFull ? 1 << 30 : 128 << 20
        try write(files: size >> 23, of: 8 << 20, in: bench, named: "data", generator: &generator)

        let command = try bench.start(["backup", bench.source])
        // Packs are at most 16 MiB in a repository of this size.
        try await bench.waitForObjects("packs/d/", count: (size >> 24) * 3 / 4)
        command.send(SIGKILL)
        _ = try await command.result()
        let stored = try bench.objects("packs/d/").map(bench.length).reduce(0, +)

        let (_, summary) = try await bench.backup()
        let added = try #require(summary["data_added_packed"] as? Int)
        // Three packs may have been complete without a receipt in the journal.
        #expect(added <= size + size / 50 - stored + 3 * (16 << 20), "stored before the kill: \(stored)")
        try await bench.hawser("check", "--read-data").expect(0)
        try await bench.restore("latest", to: "restored").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("restored"))
    }

    private func manifest(of tag: String, in bench: Workbench) -> String { bench.directory.path + "/manifest-" + tag }

    private func write(
        files: Int,
        of size: Int,
        in bench: Workbench,
        named name: String,
        generator: inout SeededGenerator
    ) throws {
        let folder = bench.source + "/" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for index in 0..<files {
            try Data(generator.bytes(size)).write(to: URL(filePath: folder + "/\(index)"))
        }
    }

    private func expectAllSnapshotsWhole(_ bench: Workbench, _ when: String) async throws {
        let check = try await bench.hawser("check", "--read-data")
        #expect(check.status == 0, "\(when)\n\(check)")
        for snapshot in try await bench.snapshots() {
            let id = try #require(snapshot["id"] as? String)
            let tag = try #require((snapshot["tags"] as? [String])?.first)
            let target = "check-" + tag
            try await bench.restore(id, to: target).expect(0)
            let differences = try await TreeComparison.differences(manifest(of: tag, in: bench), bench.restored(target))
            #expect(differences.isEmpty, "\(when), snapshot \(tag)\n\(differences)")
            try FileManager.default.removeItem(atPath: bench.directory.path + "/" + target)
        }
    }
}
