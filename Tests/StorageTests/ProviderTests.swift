import Foundation
import HawserS3
import Testing

@testable import EndToEndTests

/// What a provider lets out of his hands at this storage: only what the storage's own fences hold.
@Suite("A provider", .needsServer, .serialized)
struct ProviderTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    private func run(
        _ access: [String],
        hasGatewayServer: Bool = false,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
        let storage = ProviderScene.Storage(
            endpoint: server.endpoint,
            bucket: server.bucket,
            accessKeyID: server.key.id,
            secret: server.key.secret
        )
        let prefix = ["--prefix", TestedServer.freshPrefix(below: "provider/")]
        try await ProviderScene.run(at: storage, access + prefix, hasGatewayServer: hasGatewayServer, body)
    }

    private func check(_ scene: ProviderScene) async throws -> CommandResult {
        try await RunningCommand(
            HawserBinary.path("hawser-provider"),
            ["storage", "check", "main"],
            environment: scene.system.environment
        ).result()
    }

    @Test("Roles of each folder hold, and a tenant works with them and with tickets", .needs("PRINCIPAL"))
    func rolesOfFolders() async throws {
        let principal = try #require(server.extra("PRINCIPAL"))
        for access in ["sts", "tickets"] {
            try await run(["--access", access, "--sts-principal", principal]) { scene in
                let result = try await check(scene)
                result.expect(0)
                #expect(!result.allText.contains(" NO"), "\(result)")
                try await scene.workDay()
            }
        }
    }

    @Test("Tickets hold with the storage's own key, and a tenant works with them", .needs("TICKETS"))
    func tickets() async throws {
        try await run(["--access", "tickets"]) { scene in
            let result = try await check(scene)
            result.expect(0)
            #expect(!result.allText.contains(" NO"), "\(result)")
            try await scene.workDay()
        }
    }

    @Test("One role for all tenants does not, and nothing goes to the storage by it", .needs("ROLE"))
    func oneRole() async throws {
        let role = try #require(server.extra("ROLE"))
        try await run(["--access", "sts", "--sts-role", role]) { scene in
            let result = try await check(scene)
            result.expect(1)
            #expect(result.allText.contains("sts does not hold here"), "\(result)")
            // Through the gateway only, and there is none.
            let refused = try await scene.tenant.hawser("init")
            #expect(refused.status != 0 && refused.allText.contains("gateway server"), "\(refused)")
        }
    }

    @Test("Tickets are refused where a storage does not check what was signed; data takes the gateway")
    func weakStorage() async throws {
        guard server.lacks.contains(.conditionalPut) else { return }
        try await run(["--access", "tickets", "--gateway-server", "gs1"], hasGatewayServer: true) { scene in
            let result = try await check(scene)
            result.expect(1)
            #expect(result.allText.contains("tickets does not hold here"), "\(result)")
            #expect(result.allText.contains("gateway mode"), "\(result)")
            try await scene.workDay()
        }
    }
}
