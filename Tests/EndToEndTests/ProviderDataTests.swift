import Foundation
import HawserTestServer
import Testing

/// A provider with a storage, its server behind a cloud gateway, and a tenant's machine that has logged in: all as processes,
/// but for the storage.
private struct ProviderScene {
    let system: ProviderBench
    let tenant: Workbench
    let storage: S3TestServer
    let server: RunningCommand
    let relay: RunningCommand
    /// The gateway server.
    let mover: RunningCommand?

    static let secret = "hawser/test+secret"

    /// - Parameters:
    ///   - access: options of `storage add`.
    ///   - hasGatewayServer: whether there is `gs1`.
    static func run(
        _ access: [String],
        hasGatewayServer: Bool = false,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
        try await withS3TestServer { storage in
            let system = try ProviderBench()
            let settings = try TemporaryDirectory()
            let tenant = try Workbench(
                repository: "provider:office",
                variables: ["XDG_CONFIG_HOME": settings.path, "AWS_EC2_METADATA_DISABLED": "true"]
            )
            try await system.provider("init", "--domain", "backup.example")
            try await system.provider(
                arguments: [
                    "storage", "add", "main", "--kind", "compatible", "--endpoint", storage.endpoint, "--bucket",
                    "hawser", "--access-key", "AKTEST", "--secret-file", "-",
                ] + access,
                input: Data("\(secret)\n".utf8)
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
            let server = try system.startServer()
            let relay = try system.startGateway()
            try await system.waitUntilServing()
            let scene = ProviderScene(
                system: system,
                tenant: tenant,
                storage: storage,
                server: server,
                relay: relay,
                mover: hasGatewayServer ? try await startMover(system) : nil
            )
            defer { for process in [server, relay, scene.mover] { process?.send(SIGKILL) } }
            let code = try await system.provider("tenant", "join-code", "acme", "--json")
            let join = try #require(code.objects.first?["joinString"] as? String, "\(code)")
            try await tenant.hawser("login", join, "--name", "office", "--device", "laptop").expect(0)
            do {
                try await body(scene)
            } catch {
                for process in [scene.mover, server].compactMap({ $0 }) {
                    process.send(SIGTERM)
                    print(try await process.result())
                }
                throw error
            }
            for process in [scene.mover, server].compactMap({ $0 }) {
                process.send(SIGTERM)
                let ended = try await process.result()
                ended.expect(0)
                // The provider learns nothing, and tells nothing of what he knows.
                #expect(!ended.allText.contains(secret) && !ended.allText.contains("file-"))
            }
        }
    }

    private static func startMover(_ system: ProviderBench) async throws -> RunningCommand {
        let added = try await system.provider(
            arguments: [
                "gateway", "add", "gs1", "--kind", "server", "--address", "127.0.0.1:\(system.gatewayServerPort)",
                "--json",
            ]
        )
        try await system.join(try #require(added.objects.first?["joinString"] as? String, "\(added)")).expect(0)
        let mover = try system.startGatewayServer()
        try await system.wait(for: [system.gatewayServerPort])
        return mover
    }

    /// Makes a repository, backs up twice, checks, restores and compares; removes a snapshot and prunes.
    func workDay() async throws {
        try await tenant.hawser("init").expect(0)
        for index in 0..<40 {
            let bytes = Data((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* (index + 3) ^ $0 >> 7) })
            try bytes.write(to: URL(filePath: tenant.source + "/file-\(index)"))
        }
        let first = try await tenant.backup()
        try Data("changed".utf8).write(to: URL(filePath: tenant.source + "/file-1"))
        try await tenant.backup()
        let check = try await tenant.hawser("check", "--read-data")
        check.expect(0)
        try await tenant.restore("latest", to: "target").expect(0)
        try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
        try await tenant.hawser("forget", first.snapshot, "--prune").expect(0)
        #expect(try await tenant.snapshots().count == 1)
        try await tenant.hawser("key", "list").expect(0)
    }

    /// Bytes, as the provider's books have them.
    func used() async throws -> Int {
        let quota = try await tenant.hawser("quota", "--json")
        quota.expect(0)
        let repositories = try #require(quota.message("quota")?["repositories"] as? [[String: Any]], "\(quota)")
        return try #require(repositories.first?["used"] as? Int)
    }
}

/// From the tenant's command to the storage and back, by each way that a provider can grant.
@Suite("Backups at a provider")
struct ProviderDataTests {
    @Test(
        "Direct: the storage's own key, temporary credentials, presigned requests",
        arguments: [
            ("shared", []), ("sts", ["--sts-role", "arn:aws:iam::1:role/tenants"]),
            ("sts", ["--sts-principal", "arn:aws:iam::1:user/provider"]), ("tickets", []),
            ("tickets", ["--sts-principal", "arn:aws:iam::1:user/provider"]),
        ]
    )
    func direct(access: String, role: [String]) async throws {
        try await ProviderScene.run(["--access", access] + role) { scene in
            if access != "shared" { try await scene.system.provider("storage", "check", "main") }
            try await scene.workDay()
            // Everything is below the tenant's folder, and what the books have is what is there.
            let keys = try #require(scene.storage.keys(in: "hawser"))
            #expect(Set(keys.map { $0.split(separator: "/").prefix(2).joined(separator: "/") }).count == 1, "\(keys)")
            #expect(try await scene.used() == scene.storage.bytesStored)
        }
    }

    @Test("The quota ends a backup with code 13, and earlier snapshots are whole", arguments: ["shared", "tickets"])
    func quota(access: String) async throws {
        try await ProviderScene.run(["--access", access]) { scene in
            if access != "shared" { try await scene.system.provider("storage", "check", "main") }
            let tenant = scene.tenant
            try await tenant.hawser("init").expect(0)
            try Data("small".utf8).write(to: URL(filePath: tenant.source + "/small"))
            try await tenant.backup()
            try await scene.system.provider("quota", "set", "acme", "main", "40M")
            var generator = SystemRandomNumberGenerator()
            let large = (0..<8 << 20).map { _ in generator.next() as UInt64 }.withUnsafeBytes { Data($0) }
            try large.write(to: URL(filePath: tenant.source + "/large"))
            let full = try await tenant.hawser("backup", tenant.source, "--json")
            full.expect(13)
            #expect(full.message("exit_error")?["reason"] as? String == "quota_exceeded")
            #expect(scene.storage.bytesStored <= 40 << 20)
            #expect(try await tenant.snapshots().count == 1)
            try await tenant.hawser("check", "--read-data").expect(0)
            try await scene.system.provider("quota", "set", "acme", "main", "500M")
            try await tenant.backup()
            try await tenant.restore("latest", to: "target").expect(0)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
        }
    }

    @Test("Through a gateway server, and from there to direct mode and back as the provider says")
    func gateway() async throws {
        let options = ["--mode", "gateway", "--gateway-server", "gs1"]
        try await ProviderScene.run(options, hasGatewayServer: true) { scene in
            try await scene.workDay()
            #expect(try await scene.used() == scene.storage.bytesStored)
            for change in [["--mode", "direct", "--access", "shared"], ["--access", "provider"]] {
                try await scene.system.provider(arguments: ["repository", "update", "main"] + change)
                let name = "target-\(change.count)"
                try Data(name.utf8).write(to: URL(filePath: scene.tenant.source + "/" + name))
                try await scene.tenant.backup()
                try await scene.tenant.restore("latest", to: name).expect(0)
                try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored(name))
            }
            try await scene.tenant.hawser("check", "--read-data").expect(0)
        }
    }

    @Test("The quota holds through a gateway server")
    func gatewayQuota() async throws {
        let options = ["--mode", "gateway", "--gateway-server", "gs1"]
        try await ProviderScene.run(options, hasGatewayServer: true) { scene in
            let tenant = scene.tenant
            try await tenant.hawser("init").expect(0)
            try Data("small".utf8).write(to: URL(filePath: tenant.source + "/small"))
            try await tenant.backup()
            try await scene.system.provider("quota", "set", "acme", "main", "20M")
            var generator = SystemRandomNumberGenerator()
            let large = (0..<8 << 20).map { _ in generator.next() as UInt64 }.withUnsafeBytes { Data($0) }
            try large.write(to: URL(filePath: tenant.source + "/large"))
            let full = try await tenant.hawser("backup", tenant.source, "--json")
            full.expect(13)
            #expect(full.message("exit_error")?["reason"] as? String == "quota_exceeded", "\(full)")
            #expect(scene.storage.bytesStored <= 20 << 20)
            try await tenant.hawser("check", "--read-data").expect(0)
        }
    }
}
