import HawserControl
import HawserFormat
import HawserGateway
import HawserStorage
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

@Suite("A gateway server's way to the provider's server", .timeLimit(.minutes(10)))
struct ProviderLinkTests {
    /// Lets a task go on to its end.
    private typealias Signal = AsyncStream<Void>

    @Test("leads through a cloud gateway that was added later, when the first is gone")
    func laterGateway() async throws {
        try await withS3TestServer { storage in
            try await withProvider { provider, client in
                let bench = try await GatewayBench(provider, storage, limit: 1 << 30)
                let session = try await client.signIn()
                let (memberships, joined) = AsyncStream.makeStream(of: GatewayMembership.self)
                let (end, ending) = Signal.makeStream()
                try await withRelay(control: client.port, provider) { second in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            defer { joined.finish() }
                            try await withRelay(control: client.port, provider) { first in
                                joined.yield(try await bench.join(client, through: first))
                                for await _ in end {}
                            }
                        }
                        let membership = try #require(await memberships.first { _ in true })
                        _ = try await provider.database.addGateway("g2", kind: .relay, address: "\(second)")
                        try await bench.withServer(membership) { port in
                            // It has heard of the second before it was told to start a mover.
                            _ = try await bench.grant(client, session)
                            ending.finish()
                            try await group.waitForAll()
                            // What was granted while the end was not noticed yet can't store.
                            try await bench.withStore(try await bench.grant(client, session), ports: [port]) {
                                store async throws in
                                #expect(try await store.put(TestObject(seed: 1)) == .created)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("tells it that movers are forgotten, and tenants ask for another grant, not for another object")
    func forgottenMover() async throws {
        try await withS3TestServer { storage in
            try await withProviderFolder { provider in
                let bench = try await GatewayBench(provider, storage, limit: 1 << 30)
                let (servers, running) = AsyncStream.makeStream(of: Int.self)
                let (end, ending) = Signal.makeStream()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let (port, gatewayServer, old) = try await provider.withServer { client in
                        let membership = try await bench.join(client)
                        group.addTask {
                            defer { running.finish() }
                            try await bench.withServer(membership) { port in
                                running.yield(port)
                                for await _ in end {}
                            }
                        }
                        let port = try #require(await servers.first { _ in true })
                        let grant = try await bench.grant(client, try await client.signIn())
                        return (client.port, port, grant)
                    }
                    try await provider.withServer {
                        $0.port = port
                    } _: { _ in
                        // Whether it has heard of the new server yet or not.
                        try await bench.withStore(old, ports: [gatewayServer]) { store async throws in
                            await expectError(.notSignedIn) { try await store.put(TestObject(seed: 1)) }
                        }
                        ending.finish()
                        try await group.waitForAll()
                    }
                }
            }
        }
    }
}
