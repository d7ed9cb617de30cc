import ArgumentParser
import HawserFormat
import HawserProvider
import Testing

@testable import HawserProviderCommand

@Suite struct OptionTests {
    @Test(arguments: [
        ("0", 0), ("500", 500), ("500G", 500 << 30), ("1.5TiB", 3 << 39), ("2kb", 2048), ("1P", 1 << 50),
    ])
    func sizes(text: String, bytes: Int) {
        #expect(ByteSize.bytes(text) == bytes)
    }

    @Test(arguments: ["", "G", "-1", "1X", "1e400T", "9999999P", "٣"])
    func notSizes(text: String) {
        #expect(ByteSize.bytes(text) == nil)
    }

    @Test func sizesAreShown() {
        #expect(ByteSize.text(0) == "0 B")
        #expect(ByteSize.text(1023) == "1023 B")
        #expect(ByteSize.text(1024) == "1.000 KiB")
        #expect(ByteSize.text(3 << 39) == "1.500 TiB")
        #expect(ByteSize.text(nil) == "-")
    }

    @Test func limitsCanBeNone() {
        #expect(OptionalSize(argument: "none")?.bytes == nil)
        #expect(OptionalSize(argument: "1K")?.bytes == 1024)
        #expect(OptionalSize(argument: "x") == nil)
        #expect(OptionalCount(argument: "none") != nil)
        #expect(OptionalCount(argument: "0") == nil)
        #expect(OptionalExport(argument: "none")?.export == nil)
        #expect(OptionalExport(argument: "read")?.export == .read)
        #expect(OptionalTime(argument: "none")?.time == nil)
        #expect(OptionalTime(argument: "2026-01-31")?.time?.text == "2026-02-01 00:00")
        #expect(OptionalTime(argument: "2026-01-31T12:30:00Z")?.time?.text == "2026-01-31 12:30")
        #expect(OptionalTime(argument: "2026-02-30") == nil)
    }

    @Test(arguments: [
        ["storage", "add", "x", "--kind", "compatible", "--bucket", "b"],
        ["storage", "add", "x", "--kind", "floppy", "--bucket", "b"],
        ["tenant", "update", "x", "--enable", "--disable"],
        ["repository", "update", "x", "--credential-export", "some"],
        ["subtenant", "update", "x", "y"],
        ["tenant", "remove", "x"],
        ["subtenant", "remove", "x", "y"],
        ["quota", "set", "x", "y", "much"],
        ["report", "--csv", "--json"],
        ["init", "--domain", "bad domain"],
        ["audit", "list", "--limit", "0"],
        ["maintenance", "on", "--message", ""],
        ["tenant", "list", "--key-file", "a", "--key-command", "b"],
        ["explode"],
    ])
    func wrongUsage(arguments: [String]) {
        #expect { try RootCommand.parseAsRoot(arguments) } throws: { error in
            RootCommand.exitCode(for: error).rawValue == 64
        }
    }

    /// A secret on the command line can be seen by everybody on the machine.
    @Test func noSecretIsAnArgument() {
        let help = RootCommand.helpMessage(for: StorageAddCommand.self)
        #expect(help.contains("--secret-file"))
        #expect(!help.contains("--secret "))
    }

    @Test func everyCommandHasAnExample() {
        var pending: [any ParsableCommand.Type] = [RootCommand.self]
        var seen = 0
        while let command = pending.popLast() {
            let configuration = command.configuration
            pending += configuration.subcommands
            seen += 1
            if configuration.subcommands.isEmpty {
                #expect(configuration.discussion.contains("Example"), "\(command)")
            }
        }
        #expect(seen > 40)
    }
}
