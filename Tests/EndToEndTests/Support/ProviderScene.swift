import Foundation
import Testing

/// A provider's server behind a cloud gateway, and a tenant's machine that has logged in, all as processes; the storage is
/// there already.
struct ProviderScene {
    /// A bucket, and the key that the provider has for it.
    struct Storage {
        var endpoint: String
        var bucket: String
        var accessKeyID: String
        var secret: String
    }

    let system: ProviderBench
    let tenant: Workbench
    let server: RunningCommand
    let relay: RunningCommand
    /// The gateway server.
    let mover: RunningCommand?

    /// - Parameters:
    ///   - access: options of `storage add`.
    ///   - hasGatewayServer: whether there is `gs1`.
    static func run(
        at storage: Storage,
        _ access: [String],
        hasGatewayServer: Bool = false,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
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
                storage.bucket, "--access-key", storage.accessKeyID, "--secret-file", "-",
            ] + access,
            input: Data("\(storage.secret)\n".utf8)
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
            #expect(!ended.allText.contains(storage.secret) && !ended.allText.contains("file-"))
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
