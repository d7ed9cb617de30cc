import Crypto
import InMemoryLogging
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import HawserNetwork

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Connections that a server refuses")
struct ControlChannelTests {
    enum Client {
        /// Sends this, and reads until the server ends the connection.
        case waits([UInt8])
        /// Sends this, and ends the connection.
        case leaves([UInt8])
        case resets
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var clients: [Client]
        var hasRelays = false
        var limits = ServerLimits()
        var refused: [String]
    }

    private static let plain = Array("GET / HTTP/1.1\r\n\r\n".utf8)
    /// The begin of a ClientHello.
    private static let hello: [UInt8] = [22, 3, 1]
    private static let header = Array("\r\n\r\n\0\r\nQUIT\n".utf8)

    private static func limits(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        // Of tests that don't wait for it.
        limits.firstHead = .seconds(600)
        change(&limits)
        return limits
    }

    // The last client of each tells that the server has done with those before.
    static let all: [Case] = [
        Case(
            testDescription: "who leaves was not refused",
            clients: [.leaves([]), .resets, .leaves(hello), .waits(plain)],
            limits: limits { _ in },
            refused: ["tls"]
        ),
        Case(
            testDescription: "nor who leaves behind a relay",
            clients: [.leaves([]), .resets, .leaves(Array(header.prefix(5))), .waits(plain)],
            hasRelays: true,
            limits: limits { _ in },
            refused: ["relay no_header"]
        ),
        Case(
            testDescription: "no TLS",
            clients: [.waits(plain), .waits(plain)],
            limits: limits { _ in },
            refused: ["tls", "tls"]
        ),
        Case(
            testDescription: "no header of a relay",
            clients: [.waits(hello), .waits(hello)],
            hasRelays: true,
            limits: limits { _ in },
            refused: ["relay no_header", "relay no_header"]
        ),
        Case(
            testDescription: "nothing comes from a relay",
            clients: [.waits([]), .waits([])],
            hasRelays: true,
            limits: limits { $0.firstHead = .milliseconds(100) },
            refused: ["relay timeout", "relay timeout"]
        ),
        Case(
            testDescription: "nothing comes",
            clients: [.waits([]), .waits([])],
            limits: limits { $0.firstHead = .milliseconds(100) },
            refused: ["timeout", "timeout"]
        ),
        Case(
            testDescription: "too many of one address",
            clients: [.waits(hello), .waits(plain)],
            limits: limits { $0.connectionsPerAddress = 0 },
            refused: ["address", "address"]
        ),
        Case(
            testDescription: "too many",
            clients: [.waits([]), .waits([])],
            limits: limits { $0.connections = 0 },
            refused: ["total", "total"]
        ),
    ]

    @Test("are each told once, and who leaves before TLS has begun is not", arguments: all)
    func refused(_ tried: Case) async throws {
        let log = InMemoryLogHandler()
        var base = Logger(label: "test") { _ in log }
        base.logLevel = .notice
        let logger = base
        let counted = Counted()
        let control = ControlChannel(
            limits: tried.limits,
            counter: ConnectionCounter(tried.limits),
            context: try context(),
            relays: tried.hasRelays ? [AddressBlock("127.0.0.1")].compactMap(\.self) : [],
            logger: logger,
            onRefused: { counted.add($0) },
            responder: { _, _, _ in }
        )
        // One thread, so that a connection is not overtaken by a later one.
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let server = try await ServerBootstrap(group: loop)
            .bind(host: "127.0.0.1", port: 0) { control.setup(channel: $0, logger: logger) }
        let address = try #require(server.channel.localAddress)
        try await server.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask {
                    for client in tried.clients { try await run(client, address) }
                    try await server.channel.close()
                }
                for try await connection in connections {
                    group.addTask {
                        await control.handle(value: connection, logger: logger)
                        try? await connection.channel.closeFuture.get()
                    }
                }
            }
        }
        let lines = log.entries.filter { "\($0.message)" == "Connection refused" }.map { entry in
            ["reason", "error"].compactMap { entry.metadata[$0].map { "\($0)" } }.joined(separator: " ")
        }
        #expect(lines == tried.refused)
        #expect(counted.reasons == tried.refused.map { String($0.prefix { $0 != " " }) })
    }

    private final class Counted: Sendable {
        private let all = Mutex<[String]>([])

        var reasons: [String] { all.withLock { $0 } }

        func add(_ why: ConnectionRefused) { all.withLock { $0.append(why.rawValue) } }
    }

    /// Without a certificate: nobody gets so far.
    private func context() throws -> @Sendable () -> NIOSSLContext {
        let key = try NIOSSLPrivateKey(bytes: Array(P256.Signing.PrivateKey().derRepresentation), format: .der)
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(certificateChain: [], privateKey: .privateKey(key))
        )
        return { context }
    }

    private func run(_ client: Client, _ address: SocketAddress) async throws {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(to: address) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        switch client {
        case .waits(let bytes):
            // The server may be faster, and its end a reset.
            try? await channel.executeThenClose { inbound, outbound in
                if !bytes.isEmpty { try await outbound.write(ByteBuffer(bytes: bytes)) }
                for try await _ in inbound {}
            }
        case .leaves(let bytes):
            try await channel.executeThenClose { _, outbound in
                if !bytes.isEmpty { try await outbound.write(ByteBuffer(bytes: bytes)) }
            }
        case .resets:
            let provider = try #require(channel.channel as? any SocketOptionProvider)
            try await provider.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
            try await channel.executeThenClose { _, _ in }
        }
    }
}
