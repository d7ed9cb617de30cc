import HawserControl
import HawserGateway
import NIOCore
import NIOPosix
import Testing

/// Runs a cloud gateway for the time of `body`.
func withRelay(
    control: Int,
    gatewayServer: Int? = nil,
    _ provider: ServedProvider,
    _ body: (GatewayAddress) async throws -> Void
) async throws {
    var ports = [TestClient.serverName: control]
    ports[GatewayBench.serverName] = gatewayServer
    let routes = try ports.map { name, port in
        RelayRoutes.Route(
            names: [try #require(ServerNamePattern(name))],
            backends: [try #require(BackendAddress("127.0.0.1:\(port)"))],
            sendsProxyHeader: false
        )
    }
    let (addresses, listening) = AsyncStream.makeStream(of: SocketAddress?.self)
    let relay = CloudGateway(
        .init(addresses: [try SocketAddress(ipAddress: "127.0.0.1", port: 0)]),
        routes: try RelayRoutes(routes),
        group: MultiThreadedEventLoopGroup.singleton,
        logger: provider.log.logger
    ) { listening.yield($0.first) }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { listening.finish() }
            try await relay.run()
        }
        defer { group.cancelAll() }
        let port = try #require(await addresses.first { _ in true }??.port)
        try await body(try #require(GatewayAddress("127.0.0.1:\(port)")))
    }
}
