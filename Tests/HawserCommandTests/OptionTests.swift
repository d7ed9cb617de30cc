import ArgumentParser
import Hawser
import Testing

@testable import HawserCommand

@Suite("Options")
struct OptionTests {
    @Test("The repository has three names", arguments: ["-r", "--repository", "--repo"])
    func repositoryNames(name: String) throws {
        let command = try #require(
            try RootCommand.parseAsRoot(["snapshots", name, "/mnt/backup"]) as? SnapshotsCommand
        )
        #expect(command.options.repository == "/mnt/backup")
    }

    @Test("All options of backup are there")
    func backup() throws {
        let command = try BackupCommand.parse([
            "/home", "--exclude", "*.tmp", "--iexclude", "*.bak", "--exclude-caches", "--exclude-if-present",
            ".nobackup",
            "--exclude-larger-than", "1.5G", "--one-file-system", "--tag", "a,b", "--tag", "c", "--host", "web",
            "--time", "2026-01-31 23:59:59", "--parent", "latest", "--force", "--ignore-inode", "--ignore-ctime",
            "--skip-if-unchanged", "--compression", "zstd:7", "--dry-run", "--no-extra-verify", "--memory", "256M",
        ])
        #expect(command.paths == ["/home"])
        #expect(command.selection.excludeLargerThan?.bytes == 1_610_612_736)
        #expect(command.settings.compression == .zstd(level: 7))
        #expect(command.options.memoryBytes == 256 << 20)
        #expect(
            command.settings.tag.flatMap(TagList.parse).map { String(decoding: $0, as: UTF8.self) } == ["a", "b", "c"]
        )
    }

    @Test(
        "What contradicts itself is wrong usage",
        arguments: [
            [], ["--stdin", "/home"], ["--image", "/a", "/b"], ["--stdin-from-command"],
            ["/a", "--stdin-filename", "x"],
            ["/a", "--memory", "1M"], ["/a", "--quiet", "--verbose"], ["/a", "--compression", "zstd:99"],
            ["/a", "--limit-upload", "0"], ["/a", "--time", "yesterday"],
        ]
    )
    func contradictions(arguments: [String]) {
        do {
            _ = try BackupCommand.parse(arguments)
            Issue.record("accepted")
        } catch {
            #expect(BackupCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("A command after -- keeps its own options")
    func commandAfterDashes() throws {
        let command = try BackupCommand.parse(["--stdin-from-command", "--", "sh", "-c", "echo --quiet"])
        #expect(command.paths == ["sh", "-c", "echo --quiet"])
    }

    @Test(
        "Sizes are read with binary units",
        arguments: [
            ("0", 0), ("512", 512), ("1k", 1024), ("1K", 1024), ("2MiB", 2 << 20), ("3m", 3 << 20), ("1.5GB", 3 << 29),
            ("1T", 1 << 40),
        ]
    )
    func sizes(text: String, bytes: Int) {
        #expect(ByteSize.bytes(text) == bytes)
    }

    @Test("What is no size is refused", arguments: ["", "x", "-1", "1X", "inf", "nan", "1e400", "99999999999T", "MiB"])
    func noSizes(text: String) {
        #expect(ByteSize.bytes(text) == nil)
    }

    @Test(
        "Sizes are printed with three decimals",
        arguments: [(0, "0 B"), (1023, "1023 B"), (1024, "1.000 KiB"), (1536, "1.500 KiB"), (3 << 30, "3.000 GiB")]
    )
    func sizeTexts(bytes: Int, text: String) {
        #expect(ByteSize.text(bytes) == text)
    }

    @Test("Snapshots are named with or without a path")
    func snapshotReferences() {
        #expect(SnapshotReference(argument: "latest")?.path == nil)
        let reference = SnapshotReference(argument: "7a1b:/home/ada:x/")
        #expect(reference?.name == "7a1b" && reference?.path == EntryPath("home/ada:x".utf8))
        #expect(SnapshotReference(argument: "latest:/")?.path == .root)
        #expect(SnapshotReference(argument: "latest:/")?.part == nil)
        #expect(SnapshotReference(argument: "latest:a/../b") == nil)
    }

    @Test(
        "Times with a zone are exact",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01 01:00+01:00", 0), ("2000-02-29T12:30:15-02:00", 951_834_615),
            ("1969-12-31T23:59:59Z", -1),
        ] as [(String, Int64)]
    )
    func times(text: String, seconds: Int64) {
        #expect(TimeText.parse(text) == Timestamp(seconds: seconds))
    }

    @Test(
        "What is no time is refused",
        arguments: ["", "2026", "2026-13-01", "2026-04-31", "2026-01-01 12", "2026-01-01x"]
    )
    func noTimes(text: String) {
        #expect(TimeText.parse(text) == nil)
    }

    @Test(
        "Arguments come through as the bytes that they were",
        arguments: [
            Array("plain".utf8), Array("Zoë 日本".utf8), [0x62, 0xff, 0x64], [0xc3], [0xed, 0xa0, 0x80],
            [0xf4, 0x8f, 0xb8, 0x80, 0x41],
            Array(0x80...0xff),
        ] as [[UInt8]]
    )
    func rawArguments(bytes: [UInt8]) {
        #expect(RawArgument.string(bytes).rawBytes == bytes)
    }
}
