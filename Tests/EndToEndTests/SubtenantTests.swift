import Foundation
import HawserTestServer
import Testing

/// A tenant with two machines and a subtenant, all at work in one repository of the provider.
@Suite("Subtenants, and machines side by side", .timeLimit(.minutes(15)))
struct SubtenantTests {
    private func machine(_ scene: ProviderScene, _ options: String..., name: String) async throws -> Workbench {
        let settings = scene.system.directory.path + "/" + name
        let bench = try Workbench(repository: "provider:office", variables: ["XDG_CONFIG_HOME": settings])
        let code = try await scene.system.provider(arguments: ["tenant", "join-code", "acme", "--json"] + options)
        let join = try scene.joinString(code)
        try await bench.hawser("login", join, "--name", "office", "--device", name).expect(0)
        try Data(repeating: UInt8(name.utf8.count), count: 100_000).write(to: URL(filePath: bench.source + "/" + name))
        return bench
    }

    /// - Parameter body: gets the machine of the tenant's subtenant `branch`, which has a repository.
    private func withBranch(_ body: (ProviderScene, _ branch: Workbench) async throws -> Void) async throws {
        let roles = ["--access", "sts", "--sts-principal", "arn:aws:iam::1:user/provider"]
        try await ProviderScene.run(roles) { scene in
            try await scene.system.provider("storage", "check", "main")
            try await scene.system.provider("subtenant", "add", "acme", "branch")
            try await scene.system.provider("quota", "set", "acme", "main", "60M", "--subtenant", "branch")
            let branch = try await machine(scene, "--subtenant", "branch", name: "branch")
            try await branch.hawser("init").expect(0)
            try await body(scene, branch)
        }
    }

    /// Whose folder a request was for.
    private func folder(_ request: RequestRecord) -> Substring? {
        request.key?.split(separator: "/").dropFirst().first
    }

    @Test("Each has its own folder, credentials and quota; two machines of one tenant share a repository")
    func sideBySide() async throws {
        try await withBranch { scene, branch in
            let first = scene.tenant
            try Data("first".utf8).write(to: URL(filePath: first.source + "/first"))
            let second = try await machine(scene, name: "second")
            try await first.hawser("init").expect(0)
            scene.storage.resetCounts()
            async let firsts = first.backup()
            async let seconds = second.backup()
            async let branches = branch.backup()
            let (one, _, third) = try await (firsts, seconds, branches)

            // By key, each folder was written by credentials that wrote to no other.
            let puts = scene.storage.requests.filter { $0.kind == .put && $0.status == 200 }
            let byFolder = Dictionary(grouping: puts) { folder($0) ?? "" }.mapValues { Set($0.map(\.accessKeyID)) }
            #expect(byFolder.count == 2, "\(byFolder)")
            let keys = Array(byFolder.values)
            #expect(keys.allSatisfy { !$0.contains(S3TestServer.Configuration.User.test.accessKeyID) })
            #expect(keys.count == 2 && keys[0].isDisjoint(with: keys[1]))

            // The machines of the tenant see each other's snapshots, and the subtenant's are its own.
            #expect(try await first.snapshots().count == 2)
            #expect(try await second.snapshots().count == 2)
            #expect(try await branch.snapshots().count == 1)
            try await second.restore(one.snapshot, to: "target").expect(0)
            try await TreeComparison.expectEqual(first.source, second.directory.path + "/target" + first.source)
            #expect(try await second.restore(third.snapshot, to: "other").status != 0)

            // What the subtenant has counts for the tenant too; its own limit ends its backup, and no other's.
            try await scene.expectExactBooks()
            try await scene.system.provider("quota", "set", "acme", "main", "1M", "--subtenant", "branch")
            var generator = SeededGenerator(seed: TestScale.seed)
            for bench in [second, branch] {
                try Data(generator.bytes(8 << 20)).write(to: URL(filePath: bench.source + "/large"))
            }
            try await branch.hawser("backup", branch.source).expect(13)
            try await second.backup()
            try await branch.hawser("check", "--read-data").expect(0)
        }
    }

    @Test("A tenant restores and prunes what its subtenant has, and does not back up there")
    func reached() async throws {
        try await withBranch { scene, branch in
            let first = try await branch.backup()
            try await branch.backup()
            let tenant = scene.tenant
            let (target, option) = (tenant.directory.path + "/target", ["--subtenant", "branch"])
            try await tenant.start(["restore", "latest", "--target", target] + option).result().expect(0)
            try await TreeComparison.expectEqual(branch.source, target + branch.source)
            try await tenant.start(["forget", first.snapshot, "--prune"] + option).result().expect(0)
            #expect(try await branch.snapshots().count == 1)
            let backup = try await tenant.start(["backup", tenant.source, "--json"] + option).result()
            backup.expect(14)
            #expect(backup.message("exit_error")?["reason"] as? String == "access_denied")
            try await scene.system.provider("tenant", "update", "acme", "--reaches-subtenants", "false")
            try await tenant.start(["snapshots"] + option).result().expect(14)
            try await tenant.start(["snapshots", "-r", tenant.directory.path] + option).result().expect(64)
            try await branch.hawser("check", "--read-data").expect(0)
        }
    }
}
