import HawserControl
import HawserFormat
import HawserStorage
import HawserTestServer
import HawserTesting
import Testing

@testable import Hawser
@testable import HawserProvider

@Suite("There and back between the two ways")
struct ReturnTests {
    @Test("A tenant that does not reach the storage goes through the gateway, and directly again after five minutes")
    func returns() async throws {
        try await withS3TestServer { storage in
            try await withProvider { provider, client in
                let bench = try await GatewayBench(provider, storage, limit: 1 << 30, direct: .shared)
                let membership = try await bench.join(client)
                var (profile, key) = try await client.logIn()
                try await bench.withServer(membership) { port in
                    // Until the gateway server is there.
                    _ = try await bench.grant(client, try await client.signIn(), avoid: .direct)
                    try await withRelay(control: client.port, gatewayServer: port, provider) { address in
                        profile.gateways = [address]
                        try await withProviderConnection(
                            profile,
                            key: key,
                            purpose: .backup,
                            agent: "test",
                            logger: provider.log.logger
                        ) { connection in
                            _ = try await connection.waitUntilConnected()
                            try await goThereAndBack(connection, bench)
                        }
                    }
                }
            }
        }
    }

    private func goThereAndBack(_ connection: ProviderConnection, _ bench: GatewayBench) async throws {
        let clock = ManualClock()
        let store = ProviderStore(
            connection,
            repository: bench.repository,
            purpose: .backup,
            settings: .init(),
            logger: bench.provider.log.logger,
            clock: clock
        ) { _ in }
        func put(_ seed: UInt64) async throws -> (ConnectionMode?, host: String?) {
            let object = TestObject(length: 10_000, seed: seed)
            try await RetryingStore(store, clock: ManualClock(advancesItself: true)).put(object)
            let stored = bench.storage.requests.last { $0.kind == .put && $0.status == 200 }
            return (await store.openWay?.mode, stored?.host)
        }
        #expect(try await put(1) == (.direct, "localhost"))
        bench.storage.add(ServerFault(.resetBefore, host: "localhost", occurrence: .every))
        #expect(try await put(2) == (.gateway, "127.0.0.1"))
        clock.advance(by: .seconds(299))
        #expect(try await put(3) == (.gateway, "127.0.0.1"))
        // It is looked for again, and not there yet.
        clock.advance(by: .seconds(1))
        #expect(try await put(4) == (.gateway, "127.0.0.1"))
        bench.storage.removeFaults()
        clock.advance(by: .seconds(300))
        #expect(try await put(5) == (.direct, "localhost"))
    }
}
