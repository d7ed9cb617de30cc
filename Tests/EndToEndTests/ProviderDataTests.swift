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

    static let secret = "hawser/test+secret"

    /// - Parameter access: options of `storage add`.
    static func run(_ access: [String], _ body: (ProviderScene) async throws -> Void) async throws {
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
            let scene = ProviderScene(
                system: system,
                tenant: tenant,
                storage: storage,
                server: try system.startServer(),
                relay: try system.startGateway()
            )
            defer {
                scene.server.send(SIGKILL)
                scene.relay.send(SIGKILL)
            }
            try await system.waitUntilServing()
            let code = try await system.provider("tenant", "join-code", "acme", "--json")
            let join = try #require(code.objects.first?["joinString"] as? String, "\(code)")
            try await tenant.hawser("login", join, "--name", "office", "--device", "laptop").expect(0)
            do {
                try await body(scene)
            } catch {
                scene.server.send(SIGTERM)
                print(try await scene.server.result())
                throw error
            }
            scene.server.send(SIGTERM)
            let ended = try await scene.server.result()
            ended.expect(0)
            #expect(!ended.allText.contains(secret))
        }
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
        arguments: ["shared", "sts", "tickets"]
    )
    func direct(access: String) async throws {
        let role = access == "sts" ? ["--sts-role", "arn:aws:iam::1:role/tenants"] : []
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
            let large = Data((0..<8 << 20).map { _ in generator.next() as UInt64 }.withUnsafeBytes { Array($0) })
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
}
