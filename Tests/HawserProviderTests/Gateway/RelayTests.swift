import Crypto
import HawserControl
import HawserFormat
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("Cloud gateways at the provider's server")
struct RelayTests {
    /// A cloud gateway that has signed in: its token.
    private func relay(_ name: String, _ provider: ServedProvider, _ client: TestClient) async throws -> String {
        let address = "\(name).example:6180"
        let gateway = try await provider.database.addGateway(name, kind: .relay, address: address).id
        let code = try await provider.database.addJoinCode(.gateway(gateway))
        let key = Curve25519.Signing.PrivateKey()
        let registration = GatewayRegistrationRequest(code: code, publicKey: key.publicKey.rawRepresentation)
        #expect(try await client.post(GatewayServerAPI.gateways, registration).status == 200)
        let nonce = try await client.nonce()
        let signed = GatewaySignInRequest.signedBytes(
            gateway: gateway,
            nonce: nonce,
            domain: ServedProvider.domain
        )
        let request = GatewaySignInRequest(gateway: gateway, nonce: nonce, signature: try key.signature(for: signed))
        let answer = try await client.post(GatewayServerAPI.sessions, request).value(GatewaySignInAnswer.self)
        provider.log.addSecret(answer.token)
        return answer.token
    }

    private typealias Events = AsyncThrowingStream<MoverEvent, any Error>.Iterator

    /// Passes over what was said before a change.
    private func wait(_ events: inout Events, for wanted: [String]) async throws {
        while let event = try await events.next(isolation: #isolation) {
            if case .routes(let routes) = event, routes.map({ "\($0.name) \($0.address)" }) == wanted { return }
        }
        throw HawserError(.unavailable, "The stream has ended.")
    }

    @Test("hear of gateway servers when they come, and of each change, and get no certificate")
    func routes() async throws {
        try await withProvider { provider, client in
            let database = provider.database
            _ = try await database.addGateway("gs1", kind: .server, address: "10.0.0.1:6182")
            let token = try await relay("g1", provider, client)
            let first = ["gs1.provider.test 10.0.0.1:6182"]
            try await client.withStream(GatewayServerAPI.events, token: token) { (events: inout Events) async throws in
                try await wait(&events, for: first)
                let second = try await database.addGateway("gs2", kind: .server, address: "10.0.0.2:6182").id
                try await wait(&events, for: first + ["gs2.provider.test 10.0.0.2:6182"])
                try await database.removeGateway(second)
                try await wait(&events, for: first)
            }
            let certificate = try await client.post(
                GatewayServerAPI.certificates,
                CertificateRequest(publicKey: P256.Signing.PrivateKey().publicKey.x963Representation),
                token: token
            )
            #expect(certificate.code == "access_denied")
            // Nobody can have the name of the provider's server.
            for name in ["control", "Control", "a.b", "-a", "a_b"] {
                await expectError(.invalidArgument) {
                    try await database.addGateway(name, kind: .server, address: "10.0.0.3:6182")
                }
            }
        }
    }

    @Test("are named to tenants by how busy they say they are")
    func load() async throws {
        try await withProvider { provider, client in
            let (idle, busy) = (try await relay("g1", provider, client), try await relay("g2", provider, client))
            let machine = try await client.register()
            func first() async throws -> Set<String> {
                var names: Set<String> = []
                for _ in 0..<20 { names.insert(try #require(try await client.signIn(machine).gateways.first)) }
                return names
            }
            #expect(try await first().count == 2)
            try await client.withStream(GatewayServerAPI.events, token: idle) { (_: inout Events) async throws in
                try await client.withStream(GatewayServerAPI.events, token: busy) { (_: inout Events) async throws in
                    func report(_ loads: [Int]) async throws {
                        for (token, connections) in zip([idle, busy], loads) {
                            let load = try JSONEncoder().encode(GatewayLoad(connections: connections))
                            let answer = try await client.send(.POST, GatewayServerAPI.load, token: token, body: load)
                            #expect(answer.status == 204)
                        }
                    }
                    // Nothing that one says breaks anything.
                    for loads in [[.max, .max], [.min, .max], [-1, 0]] {
                        try await report(loads)
                        _ = try await first()
                    }
                    try await report([0, 1_000_000])
                    var counts: [String: Int] = [:]
                    for _ in 0..<40 {
                        counts[try #require(try await client.signIn(machine).gateways.first), default: 0] += 1
                    }
                    // Ten of eleven: fewer than half would be a chance of one in 10^20 or so.
                    #expect(counts["g1.example:6180", default: 0] > 20)
                }
            }
        }
    }
    @Test("are named to a tenant that is limited to some by these alone, when it signs in and in its join string")
    func pools() async throws {
        try await withProviderFolder { provider in
            try await provider.withServer {
                $0.folder = provider.folder
            } _: { client in
                try await AdminClient.withClient(socket: provider.folder.adminSocket) { admin in
                    for name in ["g1", "g2"] {
                        let relay = GatewayAdd(name: name, kind: .relay, address: "\(name).example:6180")
                        provider.log.addSecret(try await admin.perform(relay).code)
                    }
                    let limited = TenantAdd(name: "limited", settings: TenantSettings(gateways: ["g1"]))
                    let machines = [
                        "limited": try await client.register(tenant: try await admin.perform(limited).id),
                        "acme": try await client.register(),
                    ]
                    func expect(_ tenant: String, _ names: [String]) async throws {
                        let wanted = names.map { "\($0).example:6180" }
                        let machine = try #require(machines[tenant])
                        #expect(try await client.signIn(machine).gateways.sorted() == wanted)
                        let answer = try await admin.perform(TenantJoinCode(tenant: tenant))
                        provider.log.addSecret(answer.code)
                        let join = try JoinString(parsing: answer.joinString)
                        #expect(join.gateways.map(\.description).sorted() == wanted)
                    }
                    try await expect("limited", ["g1"])
                    try await expect("acme", ["g1", "g2"])
                    var update = TenantUpdate(tenant: "limited")
                    for names in [["g2"], []] {
                        update.gateways = names
                        _ = try await admin.perform(update)
                        try await expect("limited", names.isEmpty ? ["g1", "g2"] : names)
                    }
                }
            }
        }
    }
}
