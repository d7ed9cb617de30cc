import Foundation
import HawserTestServer
import HawserTesting
import Testing

/// The way to the storage changes, or ends, inside a run. The middle of a run is where the storage has got a request and
/// holds it.
@Suite("The way to the storage, inside a run", .serialized, .timeLimit(.minutes(15)))
struct WayTests {
    private static let temporary = ["--access", "sts", "--sts-role", "arn:aws:iam::1:role/tenants"]
    private static let (provider, tenant) = (ProviderScene.providerHost, ProviderScene.tenantHost)

    /// Starts a backup, and waits until the storage holds its first object that has `key` in its name.
    private func backUp(
        until gate: Gate,
        _ key: String,
        _ scene: ProviderScene,
        _ options: [String] = []
    ) async throws -> RunningCommand {
        scene.storage.add(ServerFault(.hold(gate), on: [.put], keys: .containing(key)))
        let command = try scene.tenant.start(["backup", scene.tenant.source, "--verbose"] + options)
        try await gate.waitForArrivals(1)
        return command
    }

    /// A repository in direct mode, which can also be reached through the gateway server, with one file to back up.
    private func withTwoWays(_ body: (ProviderScene) async throws -> Void) async throws {
        let direct = ["--mode", "direct", "--access", "shared", "--gateway-server", "gs1"]
        try await ProviderScene.run(direct, hasGatewayServer: true, knowsLocalhost: true) { scene in
            try await scene.tenant.hawser("init").expect(0)
            try scene.tenant.write("large", bytes: 2 << 20)
            scene.storage.resetCounts()
            try await body(scene)
            try await expectWhole(scene, snapshots: 1)
        }
    }

    private func expectWhole(_ scene: ProviderScene, snapshots count: Int) async throws {
        #expect(try await scene.tenant.snapshots().count == count)
        try await scene.tenant.hawser("check", "--read-data").expect(0)
        try await scene.tenant.restore("latest", to: "target").expect(0)
        try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored("target"))
    }

    @Test("Temporary credentials that live six seconds are renewed as often as it takes, and no request is refused")
    func renewal() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.grantedSessionDuration = .seconds(6)
        try await ProviderScene.run(Self.temporary, configuration: configuration) { scene in
            try await scene.system.provider("storage", "check", "main")
            try await scene.tenant.hawser("init").expect(0)
            try scene.tenant.write("large", bytes: 64 << 20)
            scene.storage.resetCounts()
            let sessions = scene.storage.sessions.count
            // As long as several lives.
            try await scene.tenant.backup("--limit-upload", "4096")
            #expect(scene.storage.sessions.count >= sessions + 2)
            let refused = scene.storage.requests.filter { [400, 401, 403].contains($0.status) }
            #expect(refused.isEmpty, "\(refused.map { "\($0.method) \($0.target): \($0.code ?? "")" })")
            // Nothing was sent twice.
            let puts = scene.storage.requests.filter { $0.kind == .put }
            #expect(Set(puts.map(\.key)).count == puts.count)
            try await expectWhole(scene, snapshots: 1)
        }
    }

    /// What the provider does in the middle of a backup, and what the tenant's command then says.
    struct End: CustomTestStringConvertible, Sendable {
        var access: [String]
        var change: [String]
        var back: [String]
        var code: Int32
        var reason: String

        var testDescription: String { "\(reason), \(access.last ?? "")" }

        static let all =
            [temporary, ["--access", "tickets"], ProviderScene.gatewayMode].flatMap { access in
                [
                    End(
                        access: access,
                        change: ["tenant", "update", "acme", "--disable"],
                        back: ["tenant", "update", "acme", "--enable"],
                        code: 14,
                        reason: "tenant_disabled"
                    ),
                    End(
                        access: access,
                        change: ["tenant", "update", "acme", "--lease-end", "2020-01-01"],
                        back: ["tenant", "update", "acme", "--lease-end", "none"],
                        code: 14,
                        reason: "lease_over"
                    ),
                ]
            }
            // What was leased may still be stored; each object has a ticket of its own.
            + [
                End(
                    access: ["--access", "tickets"],
                    change: ["quota", "set", "acme", "main", "100K"],
                    back: ["quota", "set", "acme", "main", "500M"],
                    code: 13,
                    reason: "quota_exceeded"
                )
            ]
    }

    @Test("A run that the provider ends says why, and what was there before stays whole", arguments: End.all)
    func ended(_ end: End) async throws {
        let isGateway = end.access == ProviderScene.gatewayMode
        try await ProviderScene.run(end.access, hasGatewayServer: isGateway) { scene in
            if !isGateway { try await scene.system.provider("storage", "check", "main") }
            try await scene.tenant.hawser("init").expect(0)
            try scene.tenant.write("before", bytes: 100_000)
            try await scene.tenant.backup()
            try scene.tenant.write("large", bytes: 2 << 20)
            let gate = Gate()
            let command = try await backUp(until: gate, "/packs/d/", scene, ["--json"])
            try await scene.system.provider(arguments: end.change)
            // The object that the storage has in hand may come, or not; the run is over either way.
            gate.open()
            let result = try await command.result()
            result.expect(end.code)
            #expect(result.message("exit_error")?["reason"] as? String == end.reason, "\(result)")
            try await scene.system.provider(arguments: end.back)
            #expect(try await scene.tenant.snapshots().count == 1)
            try await scene.tenant.backup()
            try await expectWhole(scene, snapshots: 2)
        }
    }

    @Test("The provider's order changes the mode of a running backup, there and back")
    func ordered() async throws {
        try await withTwoWays { scene in
            let (first, second) = (Gate(), Gate())
            scene.storage.add(ServerFault(.hold(second), on: [.put], keys: .containing("/index/")))
            let command = try await backUp(until: first, "/packs/d/", scene)
            try await scene.system.provider("repository", "update", "main", "--mode", "gateway")
            try await command.waitForErrors("mode=gateway")
            first.open()
            try await second.waitForArrivals(1)
            try await scene.system.provider("repository", "update", "main", "--mode", "direct")
            try await command.waitForErrors("mode=direct")
            second.open()
            try await command.result().expect(0)
            #expect(scene.hosts(.put, "/packs/d/") == [Self.tenant])
            #expect(scene.hosts(.put, "/index/").contains(Self.provider))
            #expect(scene.hosts(.put, "/snapshots/") == [Self.tenant])
        }
    }

    @Test("The provider's order changes the mode of a running restore, in either direction")
    func orderedRestore() async throws {
        try await withTwoWays { scene in
            try scene.tenant.write("larger", bytes: 40 << 20)
            try await scene.tenant.backup()
            for (mode, old, new) in [("gateway", Self.tenant, Self.provider), ("direct", Self.provider, Self.tenant)] {
                scene.storage.resetCounts()
                let gate = Gate()
                let data = ServerFault.Keys.containing("/packs/d/")
                scene.storage.add(ServerFault(.hold(gate), on: [.get], keys: data, host: old, occurrence: .every))
                // Little memory: it can't have asked for all of it when the order comes.
                let target = scene.tenant.directory.path + "/" + mode
                let command = try scene.tenant.start(
                    ["restore", "latest", "--target", target, "--verbose", "--memory", "96M"]
                )
                defer {
                    gate.open()
                    command.send(SIGKILL)
                }
                try await gate.waitForArrivals(1)
                try await scene.system.provider("repository", "update", "main", "--mode", mode)
                try await command.waitForErrors("mode=\(mode)")
                gate.open()
                try await command.result().expect(0)
                scene.storage.removeFaults()
                let hosts = scene.requests(.get, "/packs/d/").compactMap(\.host)
                #expect(hosts.first == old && hosts.last == new, "\(hosts)")
                #expect(hosts.drop { $0 == old }.allSatisfy { $0 == new }, "\(hosts)")
                try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored(mode))
            }
        }
    }

    @Test("In direct mode a machine keeps to the tenant's bandwidth, and hears in a run that it has changed")
    func bandwidth() async throws {
        try await ProviderScene.run(["--access", "tickets"]) { scene in
            try await scene.system.provider("storage", "check", "main")
            try await scene.tenant.hawser("init").expect(0)
            try await scene.system.provider("tenant", "update", "acme", "--bandwidth", "1M")
            try scene.tenant.write("large", bytes: 8 << 20)
            let begin = ContinuousClock.now
            try await scene.tenant.backup()
            // A second's bytes may go ahead of their time, and the last object is sent when all before it are paid.
            #expect(begin.duration(to: .now) > .seconds(6))

            // What is left to send would take longer than this suite may.
            try await scene.system.provider("tenant", "update", "acme", "--bandwidth", "8K")
            try scene.tenant.write("other", bytes: 8 << 20)
            let gate = Gate()
            let command = try await backUp(until: gate, "/packs/d/", scene)
            gate.open()
            try await scene.system.provider("tenant", "update", "acme", "--bandwidth", "none")
            try await command.result().expect(0)
            try await expectWhole(scene, snapshots: 2)
        }
    }

    @Test("When the tenant does not reach the storage any more, its backup goes on through the gateway")
    func unreachable() async throws {
        try await withTwoWays { scene in
            let gate = Gate()
            let command = try await backUp(until: gate, "/packs/d/", scene)
            scene.storage.add(ServerFault(.resetBefore, host: Self.tenant, occurrence: .every))
            gate.open()
            try await command.result().expect(0)
            #expect(scene.hosts(.put, "/packs/d/") == [Self.tenant])
            #expect(scene.hosts(.put, "/snapshots/") == [Self.provider])
            scene.storage.removeFaults()
        }
    }
}
