import Foundation
import Testing

/// What can go wrong before a provider is reached. With one: the tests of the provider's server.
@Suite("Logging in to a provider")
struct ProviderTests {
    private let bench: Workbench

    init() throws {
        let directory = try TemporaryDirectory()
        bench = try Workbench(variables: ["XDG_CONFIG_HOME": directory.path])
        settings = directory
    }

    private let settings: TemporaryDirectory

    @Test("A string that is no join string is wrong usage, one that was cut off is damaged")
    func joinStrings() async throws {
        try await bench.hawser("login", "hello", "--name", "a").expect(64)
        let cut = try await bench.hawser("login", "hawser-join:eyJ2IjoxfQ", "--name", "a", "--json")
        cut.expect(1)
        #expect(cut.message("exit_error")?["reason"] as? String == "damaged")
        let piped = try await bench.hawser("login", "-", "--json", input: Data("hawser-join:eyJ2IjoxfQ\n".utf8))
        piped.expect(1)
        #expect(!FileManager.default.fileExists(atPath: settings.path + "/hawser/providers/a.json"))
    }

    @Test("Without a provider there is no quota, and nothing to log out of")
    func nothing() async throws {
        for command in ["quota", "sessions", "logout"] {
            let result = try await bench.hawser(command, "--json")
            result.expect(1)
            #expect(result.message("exit_error")?["reason"] as? String == "not_found", "\(result)")
        }
        try await bench.hawser("quota", "no/name").expect(64)
    }

    @Test("A device key that others can read is refused, and shown to nobody")
    func openProfile() async throws {
        let folder = settings.path + "/hawser/providers"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let key = Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
        let profile = """
            {"version":1,"domain":"d.example","gateways":["127.0.0.1:1"],"authorities":["MAo="],"tenant":"t",
             "device":"00112233445566778899aabbccddeeff","key":"\(key)"}
            """
        for name in ["a", "b"] {
            let path = folder + "/\(name).json"
            try Data(profile.utf8).write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        }
        // Which one?
        try await bench.hawser("quota").expect(64)
        let refused = try await bench.hawser("quota", "a", "--json")
        refused.expect(14)
        #expect(refused.message("exit_error")?["reason"] as? String == "access_denied")
        #expect(!refused.allText.contains(key))
        try await bench.hawser("logout", "b").expect(0)
        // An authority that is no certificate: nobody is asked.
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/a.json")
        let damaged = try await bench.hawser("sessions", "--json")
        damaged.expect(1)
        #expect(damaged.message("exit_error")?["reason"] as? String == "damaged", "\(damaged)")
        #expect(!damaged.allText.contains(key))
    }
}

/// The whole way: a tenant's command, the cloud gateway, the provider's server and its commands.
@Suite("A provider, its gateway and a tenant's machine", .timeLimit(.minutes(15)))
struct ProviderSystemTests {
    @Test("A machine logs in through the gateway, sees its quota change, survives a killed server, and is revoked")
    func firstDay() async throws {
        let system = try ProviderBench()
        let settings = try TemporaryDirectory()
        let tenant = try Workbench(variables: ["XDG_CONFIG_HOME": settings.path])

        try await system.provider("init", "--domain", "backup.example")
        try await system.provider(
            "storage",
            "add",
            "main",
            "--kind",
            "compatible",
            "--endpoint",
            "http://127.0.0.1:9",
            "--bucket",
            "backups",
            "--access-key",
            "AKEXAMPLE",
            "--secret-file",
            "-",
            input: Data("a secret of the storage\n".utf8)
        )
        try await system.provider(
            "gateway",
            "add",
            "g1",
            "--kind",
            "relay",
            "--address",
            "127.0.0.1:\(system.gatewayPort)"
        )
        try await system.provider("tenant", "add", "acme")
        try await system.provider("quota", "set", "acme", "main", "500M")

        var server = try system.startServer()
        let gateway = try system.startGateway()
        defer {
            server.send(SIGKILL)
            gateway.send(SIGKILL)
        }
        try await system.waitUntilServing()
        let code = try await system.provider("tenant", "join-code", "acme", "--json")
        let join = try code.joinString()

        try await tenant.hawser("login", join, "--name", "office", "--device", "laptop").expect(0)
        // A code is good once.
        let again = try await tenant.hawser("login", join, "--name", "other", "--json")
        #expect(again.message("exit_error")?["reason"] as? String == "not_signed_in", "\(again)")
        let profile = settings.path + "/hawser/providers/office.json"
        let mode = try FileManager.default.attributesOfItem(atPath: profile)[.posixPermissions] as? Int
        #expect(mode == 0o600)

        let quota = try await tenant.hawser("quota")
        quota.expect(0)
        #expect(quota.text.contains("main") && quota.text.contains("500.000 MiB"), "\(quota)")
        let sessions = try await tenant.hawser("sessions")
        sessions.expect(0)
        // Nothing runs but the question itself.
        #expect(sessions.text.contains("Purpose") && !sessions.text.contains("laptop"), "\(sessions)")

        let authority = try await system.provider("ca", "show", "--json")
        let end = try #require(authority.message("summary")?["certificate_ends"] as? String)
        #expect(try Date(end, strategy: .iso8601) > Date(timeIntervalSinceNow: 89 * 86_400), "\(authority)")

        // To the running server, by its socket.
        try await system.provider("quota", "set", "acme", "main", "1G")
        server.send(SIGKILL)
        _ = try await server.result()
        server = try system.startServer()
        let raised = try await tenant.hawser("quota")
        raised.expect(0)
        #expect(raised.text.contains("1.000 GiB"), "\(raised)")

        let devices = try await system.provider("device", "list", "acme")
        #expect(devices.text.contains("laptop"))
        let shown = try String(contentsOf: URL(filePath: profile), encoding: .utf8)
        let device = try #require(
            (try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? [String: Any])?["device"] as? String
        )
        try await system.provider("device", "revoke", device)
        let refused = try await tenant.hawser("quota", "--json")
        refused.expect(14)
        try await system.provider("audit", "verify")
        try await tenant.hawser("logout", "office").expect(0)
        #expect(!FileManager.default.fileExists(atPath: profile))

        server.send(SIGTERM)
        let ended = try await server.result()
        ended.expect(0)
        gateway.send(SIGTERM)
        let closed = try await gateway.result()
        closed.expect(0)
        for log in [ended.allText, closed.allText] {
            #expect(!log.contains("a secret of the storage") && !log.contains(join.suffix(40)))
        }
    }

    @Test("A second server on one database is refused, unless it takes over: then the first one ends")
    func twoServers() async throws {
        let system = try ProviderBench()
        try await system.provider("init", "--domain", "backup.example")
        let first = try system.startServer()
        defer { first.send(SIGKILL) }
        try await system.wait(for: [system.serverPort], of: first)
        let refused = try await system.startServer("--json", port: system.gatewayPort).result()
        refused.expect(1)
        let problem = try #require(refused.message("exit_error"))
        #expect(problem["reason"] as? String == "already_running")
        #expect((problem["message"] as? String)?.contains("--take-over") == true, "\(refused)")
        try await system.provider("tenant", "add", "one")

        let second = try system.startServer("--take-over", port: system.gatewayPort)
        defer { second.send(SIGKILL) }
        try await system.wait(for: [system.gatewayPort], of: second)
        // With its next sign of life.
        let ended = try await first.result()
        ended.expect(1)
        #expect(ended.allText.contains("Another server has taken over"), "\(ended)")
        try await system.provider("tenant", "add", "two")
        #expect(try await system.provider("tenant", "list").text.contains("one"))
        second.send(SIGTERM)
        try await second.result().expect(0)
    }
}
