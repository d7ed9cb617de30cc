import Foundation
import Testing

@Suite("Routes that a relay learns")
struct LearnedRouteTests {
    @Test("A gateway server needs no line in the relay's file, also while the provider's server is down")
    func learned() async throws {
        try await ProviderScene.run(ProviderScene.gatewayMode) { scene in
            let system = scene.system
            try await scene.end(.relay, SIGTERM)
            let only = """
                routes:
                  - names: [control.backup.example]
                    backends: ["127.0.0.1:\(system.serverPort)"]
                """
            try Data(only.utf8).write(to: system.directory.url.appending(path: "routes.yaml"))
            let options = ["--data", system.directory.path + "/relay", "--drain", "1s"]
            let first = try system.startGateway(options)
            defer { first.send(SIGKILL) }
            try await system.wait(for: [system.gatewayPort])
            let added = try await system.provider(
                arguments: [
                    "gateway", "add", "g2", "--kind", "relay", "--address", "127.0.0.1:\(system.gatewayPort)", "--json",
                ]
            )
            let join = try scene.joinString(added)
            try await system.join(join, "relay").expect(0)
            try await scene.joinGatewayServer()
            try await first.waitForErrors("routes=2")
            try await scene.workDay()

            try await scene.end(.server, SIGKILL)
            first.send(SIGTERM)
            // Its own connection holds up nobody.
            try await first.result(timeout: .seconds(20)).expect(0)
            let second = try system.startGateway(options)
            defer { second.send(SIGKILL) }
            try await second.waitForErrors("routes=2")
            try await scene.start(.server)
            try await scene.tenant.backup()
            second.send(SIGTERM)
            try await second.result().expect(0)
        }
    }

    @Test("A routes file that can't be read is named with the reason")
    func unreadable() async throws {
        let folder = try TemporaryDirectory()
        for (path, reason) in [
            (folder.path + "/none.yaml", "No such file or directory"), (folder.path, "Is a directory"),
        ] {
            let result = try await RunningCommand(
                HawserBinary.path("hawser-gateway"),
                ["relay", "--routes", path, "--check"],
                environment: ProcessInfo.processInfo.environment
            ).result()
            #expect(result.status != 0 && result.allText.contains(path), "\(result)")
            #expect(result.allText.contains("The routes file can't be read: \(reason)."), "\(result)")
        }
    }
}
