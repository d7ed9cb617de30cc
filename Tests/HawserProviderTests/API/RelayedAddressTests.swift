import HawserControl
import HawserGateway
import HawserNetwork
import NIOCore
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Through the listeners of the provider's server and of a gateway server.
@Suite("The client's address behind a relay")
struct RelayedAddressTests {
    private let relays = [AddressBlock("127.0.0.1")].compactMap(\.self)
    private let nonce = Array("POST \(ControlAPI.nonces) HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".utf8)
    private let list = Array("GET \(GatewayAPI.objects) HTTP/1.1\r\nhost: x\r\n\r\n".utf8)

    private func header(_ client: String) throws -> [UInt8] {
        var bytes = ByteBuffer()
        bytes.writeProxyProtocolHeader(
            ProxyProtocolHeader(
                addresses: .init(
                    source: try SocketAddress(ipAddress: client, port: 4711),
                    destination: try SocketAddress(ipAddress: "198.51.100.1", port: 6180)
                )
            )
        )
        return Array(bytes.readableBytesView)
    }

    private func expectClosed(_ port: Int) async throws {
        try await withRawConnection(port) { plain in
            try await plain.outbound.write(ByteBuffer(bytes: [22, 3, 1]))
            #expect(try await plain.readToEnd() == 0)
        }
    }

    @Test("is the one that the provider's server counts requests by; a relay's connection without it is closed")
    func providersServer() async throws {
        try await withProvider {
            $0.relays = relays
            $0.limits.requestsPerAddress = .init(perSecond: 0.001, burst: 1)
        } _: { provider, client in
            try await expectClosed(client.port)
            await #expect(throws: (any Error).self) { try await client.send(.POST, ControlAPI.nonces) }
            let line = "notice Connection refused client=127.0.0.1 error=no_header reason=relay"
            #expect(provider.log.lines.contains(line))
            let authorities = try #require(try await CertificateStorage(provider.database).load()).authorities
            for address in ["203.0.113.1", "2001:db8::1"] {
                try await withTLSConnection(client.port, authorities, first: try header(address)) { relayed in
                    #expect(await relayed.answer(to: nonce)?.status == 200)
                }
                // Of another connection, and the same client.
                try await withTLSConnection(client.port, authorities, first: try header(address)) { relayed in
                    #expect(await relayed.answer(to: nonce)?.status == 429)
                }
                #expect(provider.log.lines.contains { $0.contains("address=\(address) ") })
            }
        }
    }

    @Test("is the one that a gateway server counts connections by; a relay's connection without it is closed")
    func gatewayServer() async throws {
        try await withGatewayServer {
            $0.relays = relays
            $0.limits.connectionsPerAddress = 1
        } _: { bench, _, port in
            try await expectClosed(port)
            let authorities = try await bench.authorities
            func status(_ address: String, _ then: () async throws -> Void = {}) async throws -> Int? {
                try await withTLSConnection(
                    port,
                    authorities,
                    serverName: GatewayBench.serverName,
                    first: try header(address)
                ) { relayed in
                    let status = await relayed.answer(to: list)?.status
                    try await then()
                    return status
                }
            }
            let first = try await status("203.0.113.1") { () async throws in
                #expect(try await status("203.0.113.1") == nil)
                #expect(try await status("203.0.113.2") == 401)
            }
            #expect(first == 401)
        }
    }

    @Test("is believed of nobody where there are no relays")
    func withoutRelays() async throws {
        try await withGatewayServer { bench, client, port in
            let authorities = try await bench.authorities
            for (port, name, request, status) in [
                (client.port, TestClient.serverName, nonce, 200), (port, GatewayBench.serverName, list, 401),
            ] {
                try await withTLSConnection(port, authorities, serverName: name, first: try header("203.0.113.1")) {
                    #expect(await $0.answer(to: request) == nil)
                }
                try await withTLSConnection(port, authorities, serverName: name) {
                    #expect(await $0.answer(to: request)?.status == status)
                }
            }
            #expect(!bench.provider.log.lines.contains { $0.contains("203.0.113.1") })
        }
    }
}
