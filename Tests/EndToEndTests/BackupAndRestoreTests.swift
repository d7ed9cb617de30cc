import Foundation
import Testing

@Suite("Backup and restore")
struct BackupAndRestoreTests {
    @Test("A tree of everything that is awkward comes back equal, and again after changes")
    func awkwardTree() async throws {
        let bench = try await Workbench.withRepository()
        let tree = try NastyTree(in: bench.source, seed: TestScale.seed)
        print("seed \(TestScale.seed)")
        tree.tellSkipped()
        let manifest = bench.directory.path + "/manifest"
        try await TreeComparison.writeManifest(of: bench.source, to: manifest)

        let first = try await bench.backup()
        try await bench.restore(first.snapshot, to: "first").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("first"))

        // The backup itself changes nothing; a second one finds nothing new. (What changed less than 3 s before the first
        // is read again, and counts as changed.) Only pages with folders above, which others use too, are written:
        // they end where the repository's key says, at 328 KiB at most.
        let second = try await bench.backup()
        #expect(second.summary["files_new"] as? Int == 0)
        #expect(try #require(second.summary["data_added"] as? Int) < 1 << 20)

        try FileManager.default.removeItem(atPath: bench.source + "/sizes/random-512")
        try FileManager.default.moveItem(atPath: bench.source + "/crowd", toPath: bench.source + "/moved")
        try Data("more".utf8).write(to: URL(filePath: bench.source + "/sizes/new"))
        let third = try await bench.backup()
        try await bench.restore("latest", to: "third").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("third"))
        #expect(third.snapshot != first.snapshot)

        try await bench.restore(first.snapshot, to: "first-again").expect(0)
        try await TreeComparison.expectEqual(manifest, bench.restored("first-again"))
        try await bench.hawser("check", "--read-data").expect(0)
    }

    @Test("Restoring over what is there, with --verify, repairs it")
    func restoreOverExisting() async throws {
        let bench = try await Workbench.withRepository()
        try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
        let backup = try await bench.backup()
        try await bench.restore(backup.snapshot, to: "target").expect(0)
        try Data("changed".utf8).write(to: URL(filePath: bench.restored("target") + "/file"))
        try await bench.restore(backup.snapshot, to: "target", options: ["--verify"]).expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
    }

    @Test("A restore never follows a symlink out of its target")
    func restoreStaysInside() async throws {
        let bench = try await Workbench.withRepository()
        let folder = bench.source + "/folder"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("content".utf8).write(to: URL(filePath: folder + "/file"))
        let backup = try await bench.backup()

        let outside = bench.directory.path + "/outside"
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: bench.restored("target"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: bench.restored("target") + "/folder",
            withDestinationPath: outside
        )
        _ = try await bench.restore(backup.snapshot, to: "target")
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
    }

    @Test("A stream is stored under its name and dumped again")
    func stream() async throws {
        let bench = try await Workbench.withRepository()
        var generator = SeededGenerator(seed: TestScale.seed)
        let data = Data(generator.bytes(5_000_001))
        try await bench.hawser("backup", "--stdin", "--stdin-filename", "dump.sql", input: data).expect(0)
        let dump = try await bench.hawser("dump", "latest", "dump.sql")
        dump.expect(0)
        #expect(dump.output == data)
    }

    @Test("A folder that is dumped and unpacked by tar has the times and modes it had")
    func archive() async throws {
        let bench = try await Workbench.withRepository()
        let folders = ["a/empty", "a/inner/most", "b", "z/1", "z/2/deep/empty"].map { bench.source + "/" + $0 }
        for folder in folders {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(folder.utf8).write(to: URL(filePath: folder + "/../file"))
        }
        let script = "cd \"$0\" && find . -depth -exec touch -t 202002030405.06 {} + && chmod 710 a/inner"
        try await run("/bin/sh", "-c", script, bench.source).expect(0)
        let dump = try await bench.hawser("dump", bench.backup().snapshot, bench.source)
        dump.expect(0)
        let target = bench.directory.path + "/unpacked"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        try await run("/usr/bin/env", "tar", "-xpC", target, input: dump.output).expect(0)
        try await TreeComparison.expectEqual(bench.source, target + bench.source)
    }

    private func run(_ program: String, _ arguments: String..., input: Data? = nil) async throws -> CommandResult {
        let environment = ProcessInfo.processInfo.environment
        return try await RunningCommand(program, arguments, environment: environment, input: input).result()
    }

    @Test("A part of a snapshot is dumped by its path there, and the newest of each host are listed")
    func partsAndNewest() async throws {
        let bench = try await Workbench.withRepository()
        try FileManager.default.createDirectory(atPath: bench.source + "/a/b", withIntermediateDirectories: true)
        try Data("content".utf8).write(to: URL(filePath: bench.source + "/a/b/file"))
        var last: Set<String> = []
        for host in ["one", "two"] {
            for _ in 0..<3 { last.insert(try await bench.backup("--host", host, "--force").snapshot) }
        }
        let part = "latest:" + bench.source + "/a"
        for arguments in [
            [part, "/b/file"], [part + "/b/file"], [part + "/b/file", "/"], ["latest", bench.source + "/a/b/file"],
        ] {
            let dump = try await bench.start(["dump"] + arguments).result()
            #expect(dump.status == 0 && dump.output == Data("content".utf8), "\(dump)")
        }
        try await bench.hawser("dump", "latest").expect(64)
        try await bench.hawser("dump", part, "/c").expect(1)

        func ids(_ options: String...) async throws -> [String] {
            try await bench.start(["snapshots", "--json"] + options).result().objects.compactMap { $0["id"] as? String }
        }
        let newest = try await ids("--latest", "1")
        #expect(newest.count == 2 && last.isSuperset(of: newest))
        #expect(try await ids("--latest", "1", "--host", "two") == newest.suffix(1))
        #expect(try await ids("--latest", "9").count == 6)
        try await bench.hawser("snapshots", "--latest", "-1").expect(64)
    }

    @Test("A failing command behind --stdin-from-command leaves no snapshot")
    func failingCommand() async throws {
        let bench = try await Workbench.withRepository()
        let result = try await bench.hawser(
            "backup",
            "--stdin-from-command",
            "--stdin-filename",
            "dump",
            "--",
            "sh",
            "-c",
            "echo half; exit 7"
        )
        result.expect(1)
        #expect(try await bench.snapshots().isEmpty)
    }

    @Test("Names with control characters never reach the terminal raw", arguments: ["ls", "find", "diff"])
    func namesAreEscaped(command: String) async throws {
        let bench = try await Workbench.withRepository()
        let first = try await bench.backup()
        for name in ["new\nline", "\u{1b}[31mred", "bell\u{7}", "\u{9b}31mred"] {
            try Data().write(to: URL(filePath: bench.source + "/" + name))
        }
        let second = try await bench.backup()
        let arguments =
            switch command {
            case "ls": ["ls", second.snapshot]
            case "find": ["find", "*"]
            default: ["diff", first.snapshot, second.snapshot]
            }
        let result = try await bench.start(arguments).result()
        result.expect(0)
        let controls = result.text.unicodeScalars.filter { scalar in
            scalar != "\n" && scalar.properties.generalCategory == .control
        }
        #expect(controls.isEmpty, "\(controls.map(\.value))")
        #expect(result.text.contains("red"))
    }

    @Test("Two backups and a check at once get along")
    func concurrentCommands() async throws {
        let bench = try await Workbench.withRepository()
        var generator = SeededGenerator(seed: TestScale.seed)
        for index in 0..<20 {
            try Data(generator.bytes(500_000)).write(to: URL(filePath: bench.source + "/file-\(index)"))
        }
        async let first = bench.backup("--tag", "first")
        async let second = bench.backup("--tag", "second")
        async let check = bench.hawser("check", "--read-data")
        let snapshots = try await [first.snapshot, second.snapshot]
        try await check.expect(0)
        try await bench.hawser("check", "--read-data").expect(0)
        for snapshot in snapshots {
            try await bench.restore(snapshot, to: snapshot).expect(0)
            try await TreeComparison.expectEqual(bench.source, bench.restored(snapshot))
        }
    }

    @Test("Without the cache, or with a damaged one, a backup finds everything again")
    func cacheIsDisposable() async throws {
        let bench = try await Workbench.withRepository()
        var generator = SeededGenerator(seed: TestScale.seed)
        try Data(generator.bytes(3_000_000)).write(to: URL(filePath: bench.source + "/file"))
        let first = try await bench.backup()
        try FileManager.default.removeItem(atPath: bench.cache)
        let second = try await bench.backup("--force")
        #expect((second.summary["data_added_packed"] as? Int ?? .max) < 1_000_000)

        for case let name as String in try #require(FileManager.default.enumerator(atPath: bench.cache)) {
            guard let file = FileHandle(forUpdatingAtPath: bench.cache + "/" + name) else { continue }
            let length = try file.seekToEnd()
            try file.seek(toOffset: length / 2)
            try file.write(contentsOf: Data("damage damage damage".utf8))
            try file.close()
        }
        try await bench.backup("--force")
        try await bench.restore(first.snapshot, to: "restored").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("restored"))
        try await bench.hawser("check", "--read-data").expect(0)
    }
}
