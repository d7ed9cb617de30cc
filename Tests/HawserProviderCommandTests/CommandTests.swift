import Foundation
import Testing

/// The built command as a process, on the database of a stopped server.
@Suite struct CommandTests {
    struct Run {
        var code: Int32
        var output: String
        var errors: String

        func json() throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        }
    }

    /// Beside the tests, where the package manager builds it.
    private static let program: String? = {
        let starts = [CommandLine.arguments[0]] + Bundle.allBundles.map(\.bundlePath)
        for start in starts {
            var folder = URL(fileURLWithPath: start)
            for _ in 0..<4 {
                folder.deleteLastPathComponent()
                let path = folder.appendingPathComponent("hawser-provider").path
                if FileManager.default.isExecutableFile(atPath: path) { return path }
            }
        }
        return nil
    }()

    private let folder = FileManager.default.temporaryDirectory.path + "/hawser-provider-command-" + UUID().uuidString

    private func run(
        _ arguments: String...,
        input: String = "",
        variables: [String: String] = [:]
    ) throws -> Run {
        try run(arguments, input: input, variables: variables)
    }

    private func run(_ arguments: [String], input: String = "", variables: [String: String] = [:]) throws -> Run {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.program))
        process.arguments = arguments
        process.environment = ["HAWSER_PROVIDER_DATA": folder].merging(variables) { $1 }
        let (output, errors, standardInput) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = standardInput
        try process.run()
        try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try standardInput.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let problems = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Run(code: process.terminationStatus, output: text, errors: problems)
    }

    @Test func aFirstDay() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let early = try run("tenant", "list")
        #expect(early.code == 1)
        #expect(early.errors.contains("hawser-provider init"))
        #expect(try run("init").code == 0)
        let again = try run("init", "--json")
        #expect(again.code == 1)
        #expect(try again.json()["reason"] as? String == "conflict")
        let storage = try run(
            "storage",
            "add",
            "main",
            "--kind",
            "compatible",
            "--endpoint",
            "https://s3.example:9000",
            "--bucket",
            "b",
            "--access-key",
            "AK",
            "--secret-file",
            "-",
            "--access",
            "tickets",
            input: "the very secret\n"
        )
        #expect(storage.code == 0, "\(storage.errors)")
        let stranger = try run("repository", "add", "typo", "--storage", "main", "--gateway-server", "gs9")
        #expect(stranger.code == 0)
        #expect(stranger.errors.contains("There is no gateway server gs9 yet"))
        #expect(try run("repository", "remove", "typo").code == 0)
        #expect(try run("tenant", "add", "acme", "--lease-end", "2030-01-01", "--sessions", "20").code == 0)
        #expect(try run("tenant", "add", "acme").errors.contains("There is one of this name already."))
        #expect(try run("quota", "set", "acme", "main", "500G").code == 0)
        let shown = try run("quota", "show")
        #expect(shown.output.split(separator: "\n").count == 2)
        #expect(shown.output.contains("500.000 GiB"))
        // There is no authority to trust yet, and so nothing that `hawser login` would take.
        let unjoined = try run("tenant", "join-code", "acme")
        #expect(unjoined.code == 1)
        #expect(unjoined.errors.contains("init --domain"), "\(unjoined)")
        let report = try run("report", "--csv")
        #expect(
            report.output == """
                tenant,repository,state,last backup,oldest backup,lease end,quota,used,free
                acme,main,enabled,,,2030-01-02 00:00,536870912000,0,536870912000

                """
        )
        #expect(try run("tenant", "update", "acme", "--disable", "--sessions", "none").code == 0)
        let tenant = try run("tenant", "show", "acme", "--json").json()["tenant"] as? [String: Any]
        #expect(tenant?["is_enabled"] as? Bool == false)
        #expect((tenant?["settings"] as? [String: Any])?["most_sessions"] == nil)
        #expect(try run("subtenant", "add", "acme", "x", "--json").json()["message_type"] as? String == "summary")
        #expect(try run("maintenance", "off", "--json").output == "{\"message_type\":\"summary\"}\n")
        #expect(try run("tenant", "show", "acme").output.contains("disabled"))
        let storageShown = try run("storage", "show", "main").output
        #expect(storageShown.contains("https://s3.example:9000"))
        #expect(storageShown.contains("never (storage check)"))
        #expect(try run("repository", "list").output.contains("tickets"))
        let backup = folder + "/copy.sqlite"
        #expect(try run("database", "backup", backup).code == 0)
        #expect(try run("key", "rotate").code == 0)
        // The copy wants the old key.
        #expect(try run("database", "restore", backup, "--json").output.contains("wrong_provider_key"))
        let proof = try run("audit", "verify")
        #expect(proof.output.contains("entries hold"), "\(proof.errors)")
        for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + file))
            #expect(bytes.range(of: Data("very secret".utf8)) == nil)
        }
    }

    @Test func aJoinString() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try run("init", "--domain", "backup.example").code == 0)
        #expect(try run("gateway", "add", "g1", "--kind", "relay", "--address", "127.0.0.1:6180").code == 0)
        #expect(try run("tenant", "add", "acme").code == 0)
        #expect(try run("tenant", "join-code", "acme").output.hasPrefix("hawser-join:"))
    }

    @Test func anAuthorityIsMadeLaterForAServerWithoutOne() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try run("init").code == 0)
        let made = try run("init", "--domain", "backup.example")
        #expect(made.code == 0 && made.output.contains("Made an authority"), "\(made)")
        let again = try run("init", "--domain", "backup.example", "--json")
        #expect(again.code == 1)
        #expect(try again.json()["reason"] as? String == "conflict")
        #expect(try run("gateway", "add", "g1", "--kind", "relay", "--address", "127.0.0.1:6180").code == 0)
        #expect(try run("tenant", "add", "acme").code == 0)
        #expect(try run("tenant", "join-code", "acme").output.hasPrefix("hawser-join:"))
    }

    @Test func settings() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try run("init", "--domain", "backup.example").code == 0)
        #expect(try run("settings", "set", "--prune-minimum", "1G").code == 0)
        let shown = try run("settings", "show").output
        #expect(shown.contains("1.000 GiB") && shown.contains("64.000 MiB"), "\(shown)")
        #expect(try run("settings", "set", "--ticket-lifetime", "901").code == 1)
        // Each is read, and none is taken as it comes.
        for name in [
            "LISTEN", "RELAYS", "METRICS", "LOG_LEVEL", "MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS", "EXEMPT",
            "SPREE_PERCENT", "SPREE_OBJECTS", "UNFINISHED_UPLOAD_HOURS", "CERTIFICATE",
            "DAYS_WITHOUT_BACKUP", "DAYS_BEFORE_END",
        ] {
            let run = try run("serve", variables: ["HAWSER_PROVIDER_" + name: "nonsense"])
            #expect(run.code == 64, "\(name): \(run)")
        }
        let otherDomain = try run("serve", variables: ["HAWSER_PROVIDER_DOMAIN": "other.example"])
        #expect(otherDomain.code == 1 && otherDomain.errors.contains("other.example"), "\(otherDomain)")
    }

    /// What the first day has no use for. Each command says in JSON what it did, or the code of why it did not.
    @Test func anotherDay() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func done(_ line: String, input: String = "") throws {
            let run = try run(line.split(separator: " ").map(String.init) + ["--json"], input: input)
            #expect(run.code == 0, "\(line): \(run)")
            #expect((try? JSONSerialization.jsonObject(with: Data(run.output.utf8))) != nil, "\(line): \(run)")
        }
        func refused(_ line: String, _ reason: String) throws {
            let run = try run(line.split(separator: " ").map(String.init) + ["--json"])
            #expect(run.code == 1, "\(line): \(run)")
            #expect(try run.json()["reason"] as? String == reason, "\(line): \(run)")
        }
        let id = String(repeating: "0", count: 32)
        try done("init --domain backup.example")
        try done(
            "storage add main --kind compatible --endpoint https://s3.example --bucket b --access-key AK --secret-file -",
            input: "a secret\r\n"
        )
        try done("storage update main --endpoint https://s3-2.example --sts-role arn:aws:iam::1:role/tenants")
        #expect(try run("storage", "show", "main").output.contains("of role arn:aws:iam::1:role/tenants"))
        try done("storage update main --sts-role none")
        try refused("storage update main --access-key AKNEW", "invalid_argument")
        try refused("storage remove main", "conflict")
        for line in [
            "repository add offsite --storage main --mode gateway", "repository update offsite --insider-protection 7",
            "tenant add acme", "subtenant add acme branch", "subtenant update acme branch --disable",
            "quota set acme main 1G",
        ] {
            try done(line)
        }
        let month = try run("report", "--month", "2026-01", "--csv")
        #expect(month.code == 0 && month.output.hasPrefix("tenant,subtenant,repository,days"), "\(month)")
        try done("gateway add g1 --kind relay --address 127.0.0.1:6180")
        try done("gateway remove g1")
        try done("webhook add https://alerts.example/hawser")
        try done("webhook list")
        try refused("webhook test \(id)", "not_found")
        try refused("webhook remove \(id)", "not_found")
        for line in [
            "maintenance on --message Later.", "maintenance off", "alarm list", "session list", "device list",
            "deletion list",
        ] {
            try done(line)
        }
        try refused("deletion approve \(id)", "not_found")
        try refused("deletion reject \(id)", "not_found")
        try refused("recovery approve", "not_found")
        // The running server's alone.
        try refused("ca show", "no_server")
        try refused("ca rotate", "no_server")
        try done("repository remove offsite")
        try done("tenant remove acme --keep 0")
    }

    @Test func aContractThatIsOverIsSaid() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try run("init").code == 0)
        let late = try run("tenant", "add", "late", "--lease-end", "2020-01-01")
        #expect(late.code == 0 && late.errors.contains("is over since 2020-01-02 00:00 UTC"), "\(late.errors)")
        #expect(try run("tenant", "update", "late", "--note", "text").errors.isEmpty)
        #expect(try run("tenant", "update", "late", "--lease-end", "none").errors.isEmpty)
        #expect(
            try run("tenant", "update", "late", "--lease-end", "2021-12-31").errors.contains("over since 2022-01-01")
        )
    }

    @Test func helpAndWrongUsage() throws {
        let help = try run("--help")
        #expect(help.code == 0)
        #expect(help.output.contains("A first day"))
        let wrong = try run("tenant", "explode")
        #expect(wrong.code == 64)
        #expect(wrong.output.isEmpty)
        // Found while the command runs already.
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try run("init").code == 0)
        let noDomain = try run("serve")
        #expect(noDomain.code == 64)
        #expect(noDomain.errors.contains("--domain"))
        #expect(noDomain.errors.contains("Usage: hawser-provider serve "), "\(noDomain.errors)")
        #expect(try run("serve", "--json").json()["reason"] as? String == "usage")
        let files = ["", "-key", "-authority"].flatMap { ["--certificate" + $0, folder + "/none.pem"] }
        let unread = try run(["serve", "--domain", "backup.example"] + files)
        #expect(unread.code == 1)
        #expect(
            unread.errors.hasSuffix("/none.pem: This certificate or key can't be read: No such file or directory.\n")
        )
        let key = folder + "/other.key"
        try Data(String(repeating: "ab", count: 32).utf8).write(to: URL(fileURLWithPath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        let strange = try run("tenant", "list", "--key-file", key)
        #expect(strange.code == 1)
        #expect(strange.errors.hasSuffix("Give the key file that belongs to it.\n"), "\(strange.errors)")
    }
}
