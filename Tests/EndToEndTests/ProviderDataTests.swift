import Foundation
import HawserTestServer
import Testing

/// From the tenant's command to the storage and back, by each way that a provider can grant.
@Suite("Backups at a provider", .timeLimit(.minutes(15)))
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
            // Everything is below the tenant's folder, beside which only the server writes, and what the books have is what
            // is there.
            let keys = try #require(scene.storage.keys(in: "hawser")).filter { !$0.hasSuffix("/repository.json") }
            #expect(Set(keys.map { $0.split(separator: "/").prefix(2) }).count == 1, "\(keys)")
            try await scene.expectExactBooks()
        }
    }

    @Test("A tenant restores with access that was exported, while the provider's server is down")
    func exportedAccess() async throws {
        let options = ["--access", "sts", "--sts-principal", "arn:aws:iam::1:user/provider"]
        try await ProviderScene.run(options) { scene in
            try await scene.system.provider("storage", "check", "main")
            let tenant = scene.tenant
            try await tenant.hawser("init").expect(0)
            try Data("kept".utf8).write(to: URL(filePath: tenant.source + "/file"))
            try await tenant.backup()
            try await scene.end(.server, SIGTERM)
            let access = try await scene.system.provider(
                arguments: ["tenant", "export-access", "acme", "main", "--read-only", "--for", "1h"]
            )
            let variables = Dictionary(
                uniqueKeysWithValues: access.text.split(separator: "\n").filter { $0.hasPrefix("export ") }.map {
                    line in
                    let parts = line.dropFirst(7).split(separator: "=", maxSplits: 1)
                    return (String(parts[0]), String(parts[1].dropFirst().dropLast()))
                }
            )
            let target = tenant.directory.path + "/target"
            try await tenant.hawser("restore", "latest", "--target", target, changing: variables).expect(0)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
            let refused = try await tenant.hawser("backup", tenant.source, changing: variables)
            #expect(refused.status == 14, "\(refused)")
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
        try await ProviderScene.run(ProviderScene.gatewayMode, hasGatewayServer: true, knowsLocalhost: true) { scene in
            try await scene.workDay()
            try await scene.expectExactBooks()
            expect(scene, goesBy: ProviderScene.providerHost)
            // For bills: a gateway server that has stopped has told all that its movers did.
            try await scene.end(.mover, SIGTERM)
            let month = String(ISO8601DateFormatter().string(from: Date()).prefix(7))
            let bill = try await scene.system.provider("report", "--month", month, "--json").objects.first
            #expect(bill?["egress"] as? Int ?? 0 > 0 && bill?["requests"] as? Int ?? 0 > 10, "\(bill ?? [:])")
            try await scene.start(.mover)
            for (change, host) in [
                (["--mode", "direct", "--access", "shared"], ProviderScene.tenantHost),
                // Nothing leaves the provider, whatever the mode says.
                (["--access", "provider"], ProviderScene.providerHost),
            ] {
                scene.storage.resetCounts()
                try await scene.system.provider(arguments: ["repository", "update", "main"] + change)
                let name = "target-\(change.count)"
                try Data(name.utf8).write(to: URL(filePath: scene.tenant.source + "/" + name))
                try await scene.tenant.backup()
                try await scene.tenant.restore("latest", to: name).expect(0)
                try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored(name))
                expect(scene, goesBy: host)
            }
            try await scene.tenant.hawser("check", "--read-data").expect(0)
        }
    }

    /// What was stored and what was read.
    private func expect(
        _ scene: ProviderScene,
        goesBy host: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for kind in [RequestKind.put, .get] {
            let hosts = scene.hosts(kind, "/packs/")
            #expect(hosts == [host], "\(kind)", sourceLocation: sourceLocation)
        }
    }

    @Test(
        "Other kinds of storage go their own direct way, and through the gateway server in gateway mode",
        arguments: [("amazon", ["--sts-role", "arn:aws:iam::1:role/tenants"]), ("google", [])]
    )
    func kinds(kind: String, role: [String]) async throws {
        let options = ["--gateway-server", "gs1"] + role
        try await ProviderScene.run(options, kind: kind, hasGatewayServer: true, knowsLocalhost: true) { scene in
            try await scene.system.provider("storage", "check", "main")
            scene.storage.resetCounts()
            try await scene.workDay()
            expect(scene, goesBy: ProviderScene.tenantHost)
            try await scene.expectExactBooks()
            let stored = scene.requests(.put, "/packs/")
            if kind == "amazon" {
                let temporary = Set(scene.storage.sessions)
                #expect(stored.allSatisfy { temporary.contains($0.accessKeyID ?? "") })
            } else {
                #expect(stored.allSatisfy { $0.target.contains("X-Amz-Signature=") })
            }

            try await scene.system.provider("repository", "update", "main", "--mode", "gateway")
            scene.storage.resetCounts()
            try scene.tenant.write("later", bytes: 100_000)
            try await scene.tenant.backup()
            try await scene.tenant.restore("latest", to: "later").expect(0)
            try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored("later"))
            expect(scene, goesBy: ProviderScene.providerHost)
            // With a ticket that is still good, a snapshot that was forgotten could be stored once more.
            try await scene.expectExactLedger(hasOpenTickets: kind == "google")
        }
    }

    @Test(
        "With insider protection nothing counts on what is to be deleted, and the provider can bring it back",
        arguments: [false, true]
    )
    func insiderProtection(isGateway: Bool) async throws {
        let mode = isGateway ? ProviderScene.gatewayMode : ["--access", "tickets"]
        try await ProviderScene.run(mode + ["--insider-protection", "7"], hasGatewayServer: isGateway) { scene in
            if !isGateway { try await scene.system.provider("storage", "check", "main") }
            let tenant = scene.tenant
            try await tenant.hawser("init").expect(0)
            var ids: [String] = []
            for name in ["one", "two", "three"] {
                try Data(name.utf8).write(to: URL(filePath: tenant.source + "/" + name))
                ids.append(try await tenant.backup().snapshot)
            }
            try await tenant.hawser("forget", "latest").expect(0)
            #expect(try await tenant.snapshots().count == 2)
            // The last one is the last of those that stay.
            try await tenant.hawser("forget", "--keep-last", "1").expect(0)
            try await tenant.restore("latest", to: "kept").expect(0)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: tenant.restored("kept")).sorted() == ["one", "two"]
            )
            try await tenant.hawser("prune", "--no-grace").expect(0)
            try await tenant.hawser("prune", "--no-grace").expect(0)
            try await tenant.hawser("check", "--read-data").expect(0)
            try await tenant.hawser("repair", "index").expect(0)
            let kept = try await scene.system.provider("deletion", "list", "--json").objects
            let deletions = try kept.map { try #require($0["id"] as? String) }
            #expect(deletions.count >= 2)
            try await scene.system.provider(arguments: ["deletion", "reject"] + deletions)
            #expect(try await scene.system.provider("deletion", "list", "--json").objects.isEmpty)
            #expect(try await tenant.snapshots().count == 3)
            // The index was made without them meanwhile.
            try await tenant.hawser("repair", "index").expect(0)
            try await tenant.restore(ids[2], to: "again").expect(0)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("again"))
            try await tenant.hawser("check", "--read-data").expect(0)
        }
    }

    @Test(
        "What is forgotten goes by when the provider took note, whatever a machine's clock said",
        arguments: [false, true]
    )
    func receipts(isGateway: Bool) async throws {
        let mode = isGateway ? ProviderScene.gatewayMode : ["--access", "shared"]
        try await ProviderScene.run(mode, hasGatewayServer: isGateway) { scene in
            let tenant = scene.tenant
            try await tenant.hawser("init").expect(0)
            var ids: [String] = []
            for (name, time) in [("good", "2026-01-05"), ("ahead", "2100-01-01"), ("behind", "2020-01-01")] {
                try Data(name.utf8).write(to: URL(filePath: tenant.source + "/file"))
                ids.append(try await tenant.backup("--time", time + " 12:00:00").snapshot)
            }
            func kept(_ policy: String...) async throws -> [String] {
                let forget = try await tenant.start(["forget", "--dry-run", "--json"] + policy).result()
                forget.expect(0)
                let groups = forget.objects.flatMap { $0["keep"] as? [[String: Any]] ?? [] }
                return groups.compactMap { $0["id"] as? String }
            }
            #expect(try await kept("--keep-last", "1") == [ids[2]])
            #expect(Set(try await kept("--keep-within", "1d")) == Set(ids))
            #expect(Set(try await kept("--keep-last", "1", "--trust-own-times")) == [ids[0], ids[1]])
            // A snapshot with other tags takes the place of the one that it was.
            try await tenant.hawser("tag", "--add", "other", ids[0]).expect(0)
            #expect(Set(try await kept("--keep-last", "2")) == Set(ids[1...]))
        }
    }

    @Test("The quota holds through a gateway server")
    func gatewayQuota() async throws {
        try await ProviderScene.run(ProviderScene.gatewayMode, hasGatewayServer: true) { scene in
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
