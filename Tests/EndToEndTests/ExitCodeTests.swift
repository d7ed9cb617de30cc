import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The codes of docs/commands.md.
@Suite("Exit codes")
struct ExitCodeTests {
    @Test("10 where there is no repository", arguments: ["snapshots", "check", "backup"])
    func noRepository(command: String) async throws {
        let bench = try Workbench()
        let result = try await bench.start(command == "backup" ? [command, bench.source] : [command]).result()
        result.expect(10)
    }

    @Test("Closed standard files are no signal: a backup is done, and an input that is closed can't be read")
    func closedFiles() async throws {
        let bench = try await Workbench.withRepository()
        try bench.write("file", bytes: 1 << 20)
        for closed in ["<&-", ">&-", "<&- >&- 2>&-"] {
            let line = "exec \"$0\" backup \"$1\" \(closed)"
            let arguments = ["-c", line, try HawserBinary.path(), bench.source]
            try await RunningCommand("/bin/sh", arguments, environment: bench.environment).result().expect(0)
        }
        #expect(try await bench.snapshots().count == 3)
        let line = "exec \"$0\" backup --stdin <&-"
        try await RunningCommand("/bin/sh", ["-c", line, try HawserBinary.path()], environment: bench.environment)
            .result()
            .expect(1)
        #expect(try await bench.snapshots().count == 3)
    }

    @Test("Snapshots without their configuration, or without any key, are damage, and no place for a new repository")
    func remains() async throws {
        let bench = try await Workbench.withRepository()
        try await bench.backup()
        let keys = bench.repository + "/keys"
        try FileManager.default.moveItem(atPath: keys, toPath: keys + "-away")
        let locked = try await bench.hawser("snapshots")
        locked.expect(1)
        #expect(locked.allText.contains("no key any more"), "\(locked)")
        try FileManager.default.moveItem(atPath: keys + "-away", toPath: keys)
        try FileManager.default.removeItem(atPath: bench.repository + "/config")
        for command in ["snapshots", "init"] {
            let result = try await bench.hawser(command)
            result.expect(1)
            #expect(result.allText.contains("the configuration that opens them is gone"), "\(result)")
        }
    }

    @Test("12 for a wrong password, and init does not replace a repository")
    func wrongPassword() async throws {
        let bench = try await Workbench.withRepository()
        try await bench.hawser("snapshots", changing: ["HAWSER_PASSWORD": "wrong"]).expect(12)
        let before = try bench.objects("")
        try await bench.hawser("init").expect(1)
        #expect(try bench.objects("") == before)
    }

    @Test("1 at once for a source that does not exist, without a snapshot")
    func missingSource() async throws {
        let bench = try await Workbench.withRepository()
        let missing = bench.directory.path + "/missing"
        let result = try await bench.hawser("backup", bench.source, missing)
        result.expect(1)
        #expect(result.allText.contains(missing))
        #expect(try await bench.snapshots().isEmpty)
    }

    @Test("1 for a snapshot that does not exist")
    func missingSnapshot() async throws {
        let bench = try await Workbench.withRepository()
        try await bench.restore("latest", to: "target").expect(1)
        try await bench.restore(String(repeating: "0", count: 64), to: "target").expect(1)
    }

    @Test("1 for a restore of what the snapshot does not have, and a target that can't be made is said to be that")
    func nothingToRestore() async throws {
        let bench = try await Workbench.withRepository()
        let snapshot = try await bench.backup().snapshot
        let absent = try await bench.restore(snapshot + ":/absent", to: "absent")
        absent.expect(1)
        #expect(absent.allText.contains("/absent"))
        #expect(!FileManager.default.fileExists(atPath: bench.directory.path + "/absent"))
        let unmatched = try await bench.restore(snapshot, to: "target", options: ["--include", "*.absent"])
        unmatched.expect(1)
        #expect(unmatched.allText.contains("Nothing in the snapshot matches"))
        #expect(try FileManager.default.subpathsOfDirectory(atPath: bench.restored("target")).isEmpty)
        let orphan = try await bench.restore(snapshot, to: "missing/target")
        orphan.expect(1)
        #expect(orphan.allText.contains("Can't create the target directory"))
    }

    @Test("3 when a file could not be read, and the rest is backed up")
    func unreadableFile() async throws {
        let bench = try await Workbench.withRepository()
        try Data("open".utf8).write(to: URL(filePath: bench.source + "/open"))
        let closed = bench.source + "/closed"
        try Data("closed".utf8).write(to: URL(filePath: closed))
        try systemCall("chmod") { chmod(closed, 0) }

        try await bench.change(mode: "a+rwX")
        let result = try await bench.withoutPrivileges("backup", bench.source, "--json")
        result.expect(3)
        #expect(result.allText.contains("closed"))
        try await bench.restore("latest", to: "target").expect(0)
        #expect(FileManager.default.contents(atPath: bench.restored("target") + "/open") == Data("open".utf8))
    }

    @Test("3 when files change or vanish while the backup runs: each is named, and what changed is stored")
    func changedAndVanished() async throws {
        let bench = try await Workbench.withRepository()
        // Both readers have more to read than may be in memory, until the limit goes; only then comes the last file.
        for name in ["a", "b"] {
            try await RunningCommand(
                "/bin/sh",
                ["-c", "head -c \(112 << 20) /dev/urandom >'\(bench.source)/\(name)'"],
                environment: bench.environment
            ).result().expect(0)
        }
        try bench.write("vanishing", bytes: 1000)
        let limits = bench.directory.path + "/limits"
        try Data("upload=8192\n".utf8).write(to: URL(filePath: limits))
        let command = try bench.start(["backup", bench.source, "--memory", "96M", "--limit-file", limits])
        try await bench.waitForObjects("packs/d/", count: 1)
        try FileManager.default.removeItem(atPath: bench.source + "/vanishing")
        let file = try FileHandle(forWritingTo: URL(filePath: bench.source + "/a"))
        try file.seekToEnd()
        try file.write(contentsOf: Data("more".utf8))
        try file.close()
        try Data("upload=0\n".utf8).write(to: URL(filePath: limits))

        let result = try await command.result()
        result.expect(3)
        #expect(result.allText.contains("not backed up: \(bench.source)/vanishing"), "\(result)")
        #expect(result.allText.contains("changed: \(bench.source)/a"), "\(result)")
        try await bench.restore("latest", to: "target").expect(0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.restored("target")).sorted() == ["a", "b"])

        // Whole again, and the file is read again; so may be the other one, which was new then.
        let (_, summary) = try await bench.backup()
        #expect(summary["files_changed"] as? Int ?? 0 >= 1)
    }

    @Test(
        "64 for wrong usage",
        arguments: [
            ["backup"], ["restore"], ["no-such-command"], ["check", "--no-such-flag"], ["backup", ""],
            ["backup", "/etc", "--exclude", "["], ["backup", "/etc", "--iexclude", ""],
            ["backup", "/etc", "--time", "x"],
            ["backup", "/etc", "--tag", ","], ["backup", "/etc", "--cache-dir", ""], ["find", "["], ["find", ""],
            ["restore", "latest", "--target", "x", "--include", "["], ["ls", "latest", ".."], ["ls", "latest:../x"],
            ["tag", "--add", ""], ["check", "--read-data-subset", "0/3"], ["init", "--password-file", ""],
        ]
    )
    func usage(arguments: [String]) async throws {
        let bench = try Workbench()
        try await bench.start(arguments).result().expect(64)
    }

    @Test("1 when results can't be written, and a backup is done all the same")
    func fullOutput() async throws {
        let bench = try await Workbench.withRepository()
        try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
        func run(_ command: String) async throws -> CommandResult {
            try await RunningCommand(
                "/bin/sh",
                ["-c", "exec '\(try HawserBinary.path())' \(command) >/dev/full"],
                environment: bench.environment
            ).result()
        }
        for command in [
            "backup '\(bench.source)'", "snapshots", "ls latest", "find file", "stats", "dump latest /", "check --json",
            "key list", "cache", "version --json",
        ] {
            let result = try await run(command)
            result.expect(1)
            #expect(result.allText.contains("can't be written"), "\(result)")
        }
        #expect(try await bench.snapshots().count == 1)
    }

    @Test("With --json a dump's errors go to the standard error, its data to the standard output")
    func dumpErrors() async throws {
        let bench = try await Workbench.withRepository()
        try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
        try await bench.backup()
        let good = try await bench.hawser("dump", "latest", bench.source + "/file", "--json", "--verbose")
        good.expect(0)
        #expect(good.text == "content")
        let bad = try await bench.hawser("dump", "latest", "/missing", "--json")
        bad.expect(1)
        #expect(bad.output.isEmpty)
        #expect(String(decoding: bad.errors, as: UTF8.self).contains(#""message_type":"exit_error""#))
    }

    @Test("130 when interrupted, with nothing half done")
    func interrupted() async throws {
        let bench = try await Workbench.withRepository()
        var generator = SeededGenerator(seed: TestScale.seed)
        let bytes = generator.bytes(1 << 20)
        for index in 0..<200 {
            try Data(bytes.map { $0 &+ UInt8(index) }).write(to: URL(filePath: bench.source + "/file-\(index)"))
        }
        // Slow enough that it can't be over before the signal comes.
        let command = try bench.start(["backup", bench.source, "--limit-upload", "4096"])
        try await bench.waitForObjects("packs/d/", count: 1)
        command.send(SIGINT)
        try await command.result().expect(130)
        #expect(try await bench.snapshots().isEmpty)
        try await bench.backup()
        try await bench.hawser("check", "--read-data").expect(0)
    }

    @Test("A read-only repository is said to be one")
    func readOnlyRepository() async throws {
        let bench = try await Workbench.withRepository()
        try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
        try await bench.change(mode: "a+rX,a-w")
        let result = try await bench.withoutPrivileges("backup", bench.source)
        result.expect(14)
        #expect(result.allText.contains("Not allowed"), "\(result)")
        try await bench.withoutPrivileges("check").expect(0)
    }
}

extension Workbench {
    /// Of everything in the repository, as `chmod` takes it.
    fileprivate func change(mode: String) async throws {
        try await RunningCommand("/usr/bin/env", ["chmod", "-R", mode, repository], environment: environment)
            .result().expect(0)
    }

    /// Root may do everything, so someone else runs the command then, with a cache of his own.
    fileprivate func withoutPrivileges(_ arguments: String...) async throws -> CommandResult {
        guard geteuid() == 0 else { return try await start(arguments).result() }
        let cache = directory.path + "/cache-of-nobody"
        try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
        try systemCall("chmod") { chmod(cache, 0o777) }
        try systemCall("chmod") { chmod(directory.path, 0o755) }
        return try await RunningCommand(
            "/usr/bin/env",
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", HawserBinary.path()] + arguments
                + ["--cache-dir", cache],
            environment: environment
        ).result()
    }

    /// Returns when the repository holds so many objects of this prefix.
    func waitForObjects(_ prefix: String, count: Int) async throws {
        while try objects(prefix).count < count { try await Task.sleep(for: .milliseconds(10)) }
    }
}
