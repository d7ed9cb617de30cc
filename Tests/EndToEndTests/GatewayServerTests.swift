import Foundation
import Testing

@Suite("A gateway server as a process")
struct GatewayServerTests {
    @Test("It joins once, serves behind the relay, survives being killed, and ends in order")
    func life() async throws {
        let system = try ProviderBench()
        try await system.provider("init", "--domain", "backup.example")
        let relay = "127.0.0.1:\(system.gatewayPort)"
        try await system.provider("gateway", "add", "g1", "--kind", "relay", "--address", relay)
        let server = try system.startServer()
        let gateway = try system.startGateway()
        defer {
            server.send(SIGKILL)
            gateway.send(SIGKILL)
        }
        try await system.waitUntilServing()
        let address = "127.0.0.1:\(system.gatewayServerPort)"
        let added = try await system.provider(
            "gateway",
            "add",
            "gs1",
            "--kind",
            "server",
            "--address",
            address,
            "--json"
        )
        let join = try added.joinString()
        let joined = try await system.join(join)
        joined.expect(0)
        #expect(joined.text.contains("gs1.backup.example"))
        #expect(try await system.join(join).allText.contains("already"))
        let file = system.directory.path + "/gs1/gateway.json"
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)

        let killed = try system.startGatewayServer()
        try await system.wait(for: [system.gatewayServerPort])
        killed.send(SIGKILL)
        _ = try await killed.result()
        let running = try system.startGatewayServer()
        defer { running.send(SIGKILL) }
        try await system.wait(for: [system.gatewayServerPort])
        let list = try await system.provider("gateway", "list")
        #expect(list.text.contains("gs1") && list.text.contains("yes"), "\(list)")
        running.send(SIGTERM)
        let ended = try await running.result()
        ended.expect(0)
        #expect(!ended.allText.contains(join))
    }
}
