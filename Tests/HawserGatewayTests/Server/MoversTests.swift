import HawserControl
import Testing

@testable import HawserGateway

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("The movers of a gateway server")
struct MoversTests {
    /// Without a provider's server that could be asked.
    private func movers() throws -> Movers {
        let text = """
            {"domain": "provider.test", "name": "gs1", "gateway": "\(ControlID.random())", "addresses": [],
             "authorities": [], "key": ""}
            """
        let membership = try JSONDecoder().decode(GatewayMembership.self, from: Data(text.utf8))
        let link = try ProviderLink(membership, folder: nil, logger: silentLogger)
        return Movers(link, StorageClients(connections: 1), silentLogger)
    }

    private func order(of tenant: ControlID, token: UInt8, rate: Int?) -> Mover {
        Mover(
            id: .random(),
            session: .random(),
            repository: .random(),
            tenant: tenant,
            purpose: .backup,
            token: Data([token]),
            bandwidth: rate,
            largest: 1
        )
    }

    @Test("share the rate of their tenant, and a new rate reaches those that run")
    func rates() async throws {
        let movers = try movers()
        defer { movers.stopAll() }
        let (one, other) = (ControlID.random(), ControlID.random())
        let first = order(of: one, token: 1, rate: 1)
        var second = order(of: one, token: 2, rate: 1)
        let foreign = order(of: other, token: 3, rate: 1)
        await movers.apply(.movers([first, foreign]))
        await movers.apply(.start(second))
        let running = try [first, second, foreign].map { try #require(movers.mover(token: $0.token)) }
        #expect(running[0].throttle === running[1].throttle)
        #expect(running[0].throttle !== running[2].throttle)
        // Days of debt, which are no other tenant's.
        try await running[0].pass(1 << 20)
        try await running[2].pass(1)
        async let waits: Void = running[0].pass(1)
        second.bandwidth = nil
        await movers.apply(.start(second))
        #expect(movers.count == 3)
        try await waits
    }

    @Test("keep the debt of their tenant as long as one of them runs")
    func debt() async throws {
        let movers = try movers()
        defer { movers.stopAll() }
        let tenant = ControlID.random()
        let (first, second) = (order(of: tenant, token: 1, rate: 1), order(of: tenant, token: 2, rate: 1))
        await movers.apply(.movers([first]))
        let throttle = try #require(movers.mover(token: first.token)).throttle
        await movers.apply(.start(second))
        await movers.apply(.stop(first.id))
        #expect(movers.mover(token: first.token) == nil)
        #expect(try #require(movers.mover(token: second.token)).throttle === throttle)
    }
}
