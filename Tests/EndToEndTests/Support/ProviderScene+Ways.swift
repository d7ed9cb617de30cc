import Foundation
import HawserTestServer
import Testing

/// Which way data goes, and what came of it.
extension ProviderScene {
    enum Mode: CaseIterable {
        case gateway
        /// Direct mode, with presigned requests.
        case tickets
    }

    /// With a repository that `hawser init` has made.
    static func withRepository(
        _ mode: Mode,
        spare: Role? = nil,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
        let isGateway = mode == .gateway
        let spareServer = spare == .spareMover ? ["--gateway-server", "gs2"] : []
        let options = isGateway ? gatewayMode + spareServer : ["--access", "tickets"]
        try await run(options, hasGatewayServer: isGateway, spare: spare) { scene in
            if !isGateway { try await scene.system.provider("storage", "check", "main") }
            try await scene.tenant.hawser("init").expect(0)
            try await body(scene)
        }
    }

    // MARK: Requests

    /// How the provider's servers know the storage, and how the tenant does in a scene that says so.
    static let (providerHost, tenantHost) = ("127.0.0.1", "localhost")

    /// Those for objects with `key` in their names that succeeded, in the order in which they came.
    func requests(_ kind: RequestKind, _ key: String) -> [RequestRecord] {
        storage.requests.filter { request in
            request.kind == kind && request.key?.contains(key) == true && [200, 206].contains(request.status)
        }.sorted { $0.number < $1.number }
    }

    /// By which names of the storage.
    func hosts(_ kind: RequestKind, _ key: String) -> Set<String> { Set(requests(kind, key).compactMap(\.host)) }

    // MARK: State

    /// The cloud gateways that the tenant's machine knows, in the order in which it tries them.
    func gateways() throws -> [String] {
        let settings = try #require(tenant.environment["XDG_CONFIG_HOME"])
        let profile = try Data(contentsOf: URL(filePath: settings + "/hawser/providers/office.json"))
        let fields = try JSONSerialization.jsonObject(with: profile) as? [String: Any]
        return try #require(fields?["gateways"] as? [String])
    }

    /// Ids of those that run.
    func sessions() async throws -> [String] {
        try await system.provider("session", "list", "acme", "--json").objects.map { view in
            try #require((view["session"] as? [String: Any])?["id"] as? String)
        }
    }

    /// The books have what is stored, to the byte, although nothing was listed for it by hand.
    func expectExactBooks() async throws {
        // Deletions go on by themselves where a request did not wait for their end.
        func lines(_ message: String) throws -> Int {
            try log(.server).split(separator: "\n").count { $0.hasSuffix(" " + message) }
        }
        while try lines("Deleted") < lines("Deletion requested") { try await Task.sleep(for: .milliseconds(100)) }
        // Beside sessions that store the server knows no better of one that has ended than to count its bytes in
        // full; it looks again when all is quiet, within minutes.
        if try log(.server).contains("An ended session's leases are settled") {
            while try await used() != stored() { try await Task.sleep(for: .milliseconds(100)) }
        }
        #expect(try await used() == stored())
    }

    /// When all sessions are over, the books have what is stored, to the byte.
    ///
    /// - Parameter hasOpenTickets: whether a run may have ended without telling of what it had tickets for: that stays set
    ///   aside until no PUT can use them, for 80 minutes.
    func expectExactLedger(hasOpenTickets: Bool = false) async throws {
        #expect(try await sessions() == [])
        // It looks after ended sessions when it starts, and each minute.
        try await end(.server, SIGTERM)
        try await start(.server)
        if !hasOpenTickets {
            while try await ledger().reserved > 0 { try await Task.sleep(for: .milliseconds(100)) }
        }
        // Never less than is stored, also before a listing corrects what a dead gateway server had in hand.
        let before = try await ledger()
        #expect(try await before.used + before.reserved >= stored())
        try await system.provider("quota", "reconcile", "acme")
        let (used, reserved) = try await ledger()
        #expect(try await used == stored())
        #expect(reserved == 0 || hasOpenTickets)
    }
}
