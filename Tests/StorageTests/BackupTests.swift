import Foundation
import Testing

@testable import EndToEndTests

/// The command against the server.
@Suite("Backups", .needsServer, .serialized)
struct BackupTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    @Test("A tree of everything that is awkward comes back equal, and again after changes")
    func awkwardTree() async throws {
        let bench = try server.bench()
        try await bench.hawser("init").expect(0)
        let tree = try NastyTree(in: bench.source, seed: TestScale.seed)
        print("seed \(TestScale.seed); left out here: \(tree.skipped)")

        let first = try await bench.backup()
        try await bench.restore(first.snapshot, to: "first").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("first"))
        let second = try await bench.backup()
        #expect(second.summary["files_new"] as? Int == 0)
        // Not by the number of changed files: those younger than 3 s at the first backup are read again, all 19 MB. Only
        // folders above have new times, and their pages end where the repository's key says, at 328 KiB at most.
        #expect(try #require(second.summary["data_added"] as? Int) < 1 << 20)

        try Data("more".utf8).write(to: URL(filePath: bench.source + "/sizes/new"))
        try await bench.backup()
        try await bench.hawser("check", "--read-data").expect(0)
        // As on another machine: nothing of this one's.
        try FileManager.default.removeItem(atPath: bench.cache)
        try await bench.restore("latest", to: "latest").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("latest"))
        try await bench.hawser("init").expect(1)
    }

    @Test("Two backups at one time are both whole")
    func racingBackups() async throws {
        let bench = try server.bench()
        try await bench.hawser("init").expect(0)
        try bench.write(files: 12, of: 1 << 20, named: "data")
        // Each with a cache of its own, as two machines have.
        let racers = try ["one", "two"].map { name in
            try bench.start(
                ["backup", bench.source, "--host", name],
                changing: ["HAWSER_CACHE_DIR": bench.directory.path + "/cache-" + name]
            )
        }
        for racer in racers { try await racer.result().expect(0) }
        #expect(try await bench.snapshots().count == 2)
        try await bench.expectWhole(hosts: ["one", "two"])
    }

    @Test("A backup that was killed leaves nothing half visible, and the next one goes on from what was stored")
    func killedBackup() async throws {
        let prefix = TestedServer.freshPrefix()
        let bench = try server.bench(prefix: prefix)
        try await bench.hawser("init").expect(0)
        try bench.write(files: 4, of: 1 << 20, named: "early")
        try await bench.backup("--host", "early")
        let size = 80 << 20
        try bench.write(files: 10, of: size / 10, named: "data")

        let command = try bench.start(["backup", bench.source, "--host", "killed"])
        let stored = try await server.withStore(prefix) { store in
            // Packs have at most 16 MiB in a repository of this size.
            try await store.waitForPacks(count: 4)
            command.send(SIGKILL)
            _ = try await command.result()
            return try await store.packBytes()
        }
        try await bench.hawser("check", "--read-data").expect(0)
        let (_, summary) = try await bench.backup("--host", "killed")
        let added = try #require(summary["data_added_packed"] as? Int)
        // Three packs may have been complete without a receipt in the journal.
        #expect(added <= size + size / 50 - stored + 3 * (16 << 20), "stored before the kill: \(stored)")
        try await bench.expectWhole(hosts: ["killed"])
    }
}

extension Workbench {
    /// Files of random bytes in a folder of the source.
    func write(files: Int, of size: Int, named name: String) throws {
        var generator = SeededGenerator(seed: UInt64.random(in: 0...UInt64.max))
        let folder = source + "/" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for index in 0..<files {
            try Data(generator.bytes(size)).write(to: URL(filePath: folder + "/\(index)"))
        }
    }

    /// Everything in the storage can be read, and the latest snapshots of these hosts equal the source.
    func expectWhole(hosts: [String]) async throws {
        try await hawser("check", "--read-data").expect(0)
        for host in hosts {
            try await restore("latest", to: host, options: ["--host", host]).expect(0)
            try await TreeComparison.expectEqual(source, restored(host))
        }
    }
}
