import Foundation
import HawserTestServer
import HawserTesting
import Testing

/// What is killed in the middle of a run and does not come back. The middle is where the storage holds a request.
@Suite("Lost for good in the middle", .serialized, .timeLimit(.minutes(15)))
struct LossTests {
    private static let size = 2 << 20

    /// A data pack of a backup, of which a part has arrived.
    private func holdPack(_ gate: Gate) -> ServerFault {
        ServerFault(.holdRequest(afterBytes: 1 << 20, gate), on: [.put], keys: .containing("/packs/d/"))
    }

    private func expectWhole(_ scene: ProviderScene) async throws {
        try await scene.tenant.hawser("check", "--read-data").expect(0)
        try await scene.tenant.restore("latest", to: "target").expect(0)
        try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored("target"))
    }

    @Test(
        "Of two cloud gateways the one in use is lost: backup and restore go on by the other",
        arguments: ProviderScene.Mode.allCases
    )
    func relay(_ mode: ProviderScene.Mode) async throws {
        try await ProviderScene.withRepository(mode, spare: .spareRelay) { scene in
            let tenant = scene.tenant
            try tenant.write("file", bytes: Self.size)
            let lost = try await run(["backup", tenant.source], losingRelayAt: holdPack, scene, mode)
            try await tenant.hawser("check", "--read-data").expect(0)
            // So that the restore has two again.
            try await scene.start(lost)
            // Without the cache: what it needs next, it has to ask for.
            let target = tenant.directory.path + "/target"
            let restore = ["restore", "latest", "--target", target, "--no-cache"]
            _ = try await run(restore, losingRelayAt: holdTree, scene, mode)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
            try await scene.expectExactLedger()
        }
    }

    /// What a restore reads before the data.
    private func holdTree(_ gate: Gate) -> ServerFault {
        ServerFault(.holdAnswer(gate), on: [.get], keys: .containing("/packs/m/"))
    }

    /// - Returns: the one that was killed: that by which data goes, in direct mode the session's.
    private func run(
        _ arguments: [String],
        losingRelayAt fault: (Gate) -> ServerFault,
        _ scene: ProviderScene,
        _ mode: ProviderScene.Mode
    ) async throws -> ProviderScene.Role {
        let relays = [
            "127.0.0.1:\(scene.system.gatewayPort)": ProviderScene.Role.relay,
            "127.0.0.1:\(scene.system.spareGatewayPort)": .spareRelay,
        ]
        let gate = Gate()
        scene.storage.add(fault(gate))
        let known = try scene.gateways()
        #expect(Set(known) == Set(relays.keys))
        let command = try scene.tenant.start(arguments + ["--verbose"])
        defer {
            gate.open()
            command.send(SIGKILL)
        }
        try await gate.waitForArrivals(1)
        // A session is opened by the first that the machine knows; data goes by the first that it then was told.
        let used = try #require(mode == .gateway ? scene.gateways().first : known.first)
        let role = try #require(relays[used])
        try await scene.end(role, SIGKILL)
        gate.open()
        let result = try await command.result()
        result.expect(0)
        let change = mode == .gateway ? "Another gateway is used from now on" : "Connected again"
        #expect(result.allText.contains(change), "\(result)")
        try scene.storage.verifyAllFired()
        scene.storage.removeFaults()
        return role
    }

    @Test("Of a repository's two gateway servers the one in use is lost: backup and restore go on by the other")
    func gatewayServer() async throws {
        try await ProviderScene.withRepository(.gateway, spare: .spareMover) { scene in
            let tenant = scene.tenant
            try tenant.write("file", bytes: Self.size)
            let lost = try await run(["backup", tenant.source], losingGatewayServerAt: holdPack, scene)
            try await tenant.hawser("check", "--read-data").expect(0)
            // So that the restore has two again.
            try await scene.start(lost)
            let restore = ["restore", "latest", "--target", tenant.directory.path + "/target"]
            _ = try await run(restore, losingGatewayServerAt: holdData, scene)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
            try await scene.expectExactLedger()
        }
    }

    /// A data pack of a restore, of which a part has been sent.
    private func holdData(_ gate: Gate) -> ServerFault {
        ServerFault(.holdBody(afterBytes: 100_000, gate), on: [.get], keys: .containing("/packs/d/"))
    }

    /// - Returns: the one that was killed.
    private func run(
        _ arguments: [String],
        losingGatewayServerAt fault: (Gate) -> ServerFault,
        _ scene: ProviderScene
    ) async throws -> ProviderScene.Role {
        let gate = Gate()
        scene.storage.add(fault(gate))
        let command = try scene.tenant.start(arguments)
        defer {
            gate.open()
            command.send(SIGKILL)
        }
        try await gate.waitForArrivals(1)
        let session = try #require(try await scene.sessions().first)
        let movers: [ProviderScene.Role] = [.mover, .spareMover]
        let logs = try movers.map { (mover: $0, log: try scene.log($0)) }
        let used = logs.filter { $0.log.contains(session) }.map(\.mover)
        try #require(used.count == 1, "\(session) in \(logs)")
        try await scene.end(used[0], SIGKILL)
        gate.open()
        try await command.result().expect(0)
        let other = try #require(movers.first { $0 != used[0] })
        #expect(try scene.log(other).contains(session))
        try scene.storage.verifyAllFired()
        scene.storage.removeFaults()
        return used[0]
    }

    @Test(
        "A backup is killed when three packs are stored: the next one stores nothing of them again",
        arguments: ProviderScene.Mode.allCases
    )
    func backup(_ mode: ProviderScene.Mode) async throws {
        try await ProviderScene.withRepository(mode) { scene in
            let tenant = scene.tenant
            let size = 80 << 20
            try tenant.write("file", bytes: size)
            // Packs have 12 MiB then, and there are three buffers, which are free again when a pack is stored and noted: when
            // the sixth comes, at least three are.
            let memory = ["--memory", "96M"]
            let gate = Gate()
            scene.storage.add(
                ServerFault(.hold(gate), on: [.put], keys: .containing("/packs/d/"), occurrence: .from(6))
            )
            let command = try tenant.start(["backup", tenant.source] + memory)
            defer {
                gate.open()
                command.send(SIGKILL)
            }
            try await gate.waitForArrivals(1)
            command.send(SIGKILL)
            _ = try await command.result()
            let stored = scene.requests(.put, "/packs/d/")
            #expect(stored.count >= 3)

            scene.storage.removeFaults()
            scene.storage.resetCounts()
            try await tenant.start(["backup", tenant.source] + memory).result().expect(0)
            let again = scene.requests(.put, "/packs/d/")
            // No pack is made twice in the same way, so bytes are what tells.
            let used = stored.map(\.bytesIn).sorted().prefix(3).reduce(0, +)
            let sent = again.map(\.bytesIn).reduce(0, +)
            #expect(sent <= size + size / 50 - used, "\(stored.count) packs were there")
            try await expectWhole(scene)
        }
    }
}
