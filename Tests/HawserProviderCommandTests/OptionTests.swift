import ArgumentParser
import Foundation
import HawserControl
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
        ["alarm", "list", "--days-before-end", "36501"],
        ["maintenance", "on", "--message", ""],
        ["tenant", "list", "--key-file", "a", "--key-command", "b"],
        ["explode"],
    ])
    func wrongUsage(arguments: [String]) {
        #expect { try RootCommand.parseAsRoot(arguments) } throws: { error in
            RootCommand.exitCode(for: error).rawValue == 64
        }
    }

    private func fields<Fields: ParsableArguments>(_ arguments: String...) throws -> Fields {
        try Fields.parse(arguments)
    }

    @Test func whatWasSetCanBeTakenBack() throws {
        var settings = StorageSettings(kind: .compatible, endpoint: "https://a", bucket: "b", accessKeyID: "AK")
        (settings.tenantEndpoint, settings.tenantAuthority) = ("https://b", "PEM")
        settings.sts = SecurityTokenSettings(endpoint: "https://c", roleARN: "arn:a:b::c", externalID: "d")
        let none: StorageFields = try fields(
            "--tenant-endpoint",
            "none",
            "--tenant-ca",
            "none",
            "--sts-endpoint",
            "none",
            "--sts-external-id",
            "none"
        )
        try none.apply(to: &settings)
        #expect(settings.tenantEndpoint == nil && settings.tenantAuthority == nil)
        #expect(settings.sts == SecurityTokenSettings(roleARN: "arn:a:b::c"))
        let principal: StorageFields = try fields("--sts-principal", "arn:a:b::d")
        try principal.apply(to: &settings)
        #expect(settings.sts == SecurityTokenSettings(principal: "arn:a:b::d"))
        #expect(throws: ValidationError.self) {
            let both: StorageFields = try fields("--sts-role", "none", "--sts-principal", "arn:a:b::d")
            try both.apply(to: &settings)
        }
        let nothing: StorageFields = try fields("--sts-role", "none")
        try nothing.apply(to: &settings)
        #expect(settings.sts == nil)

        var repository = RepositorySettings(acceptsSharedBucket: true)
        let strict: RepositoryFields = try fields("--no-accept-shared-bucket")
        strict.apply(to: &repository)
        #expect(!repository.acceptsSharedBucket)
        let silent: RepositoryFields = try fields()
        repository.acceptsSharedBucket = true
        silent.apply(to: &repository)
        #expect(repository.acceptsSharedBucket)
    }

    @Test func jsonIsSpelledAsResticDoes() throws {
        struct Answer: Encodable {
            var accessKeyID = "AK"
            var held = ["someKey": true]
            var publicKey = Data([1, 2, 3])
            var none: Int?
        }
        let text = #"{"access_key_id":"AK","held":{"someKey":true},"message_type":"summary","public_key":"AQID"}"#
        #expect(try Output.json(Answer()) == text)
        #expect(try Output.json([["x"], []]) == #"[["x"],[]]"#)
        #expect(try Output.json(AdminDone()) == #"{"message_type":"summary"}"#)
    }

    @Test func daysOfAlarms() throws {
        let settings = try ServeCommand.parse(["--days-without-backup", "7"]).alarms.settings()
        #expect((settings.daysWithoutBackup, settings.daysBeforeEnd) == (7, 30))
        let wrong = try ServeCommand.parse(["--days-before-end", "36501"]).alarms
        #expect(throws: ValidationError.self) { try wrong.settings() }
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
