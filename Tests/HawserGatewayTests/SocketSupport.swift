import Crypto
import HawserMetrics
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import SwiftASN1
import Testing
import X509

@testable import HawserGateway

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

let eventLoops = MultiThreadedEventLoopGroup.singleton

/// So that a reader that waits is felt before megabytes have gone into the kernel.
let smallBuffer: ChannelOptions.Types.SocketOption.Value = 64 * 1024

typealias Stream = NIOAsyncChannel<ByteBuffer, ByteBuffer>

/// A gateway on 127.0.0.1 that runs while the body does.
struct RunningGateway: Sendable {
    var gateway: CloudGateway
    var registry: PrometheusRegistry
    var address: SocketAddress
    /// The channels to backends, in the order in which they were opened.
    var backends: NIOLockedValueBox<[any Channel]>
    var task: Task<Void, any Error>

    func metric(_ series: String) -> Double? { HawserGatewayTests.metric(registry, series) }
}

func withGateway<Result>(
    _ text: String,
    logger: Logger = silentLogger,
    _ change: (inout CloudGateway.Configuration) -> Void = { _ in },
    _ body: (RunningGateway) async throws -> Result
) async throws -> Result {
    var configuration = CloudGateway.Configuration(
        addresses: [try SocketAddress(ipAddress: "127.0.0.1", port: 0)],
        // The machine can be busy; tests of these limits set them.
        limits: .init(newPerSecondAndAddress: 100_000, burstPerAddress: 100_000),
        helloLimit: .seconds(60),
        connectLimit: .seconds(60),
        drainLimit: .seconds(60)
    )
    change(&configuration)
    let (listening, continuation) = AsyncStream.makeStream(of: [SocketAddress].self)
    let registry = PrometheusRegistry()
    let backends = NIOLockedValueBox<[any Channel]>([])
    let dialler = BackendDialler(configuration)
    let gateway = CloudGateway(
        configuration,
        routes: try routes(text),
        group: eventLoops,
        logger: logger,
        metrics: registry,
        onListening: { continuation.yield($0) },
        connect: { address, loop in
            dialler.connect(address, on: loop).map { channel in
                backends.withLockedValue { $0.append(channel) }
                return channel
            }
        }
    )
    let task = Task {
        defer { continuation.finish() }
        try await gateway.run()
    }
    defer { task.cancel() }
    guard let address = await listening.first(where: { _ in true })?.first else {
        try await task.value
        throw ChannelError.eof
    }
    let running = RunningGateway(
        gateway: gateway,
        registry: registry,
        address: address,
        backends: backends,
        task: task
    )
    let result = try await body(running)
    task.cancel()
    try await task.value
    #expect(gateway.connectionCount == 0)
    return result
}

/// A server on 127.0.0.1 that handles each connection with `handle` while the body runs.
func withServer<Result: Sendable>(
    _ setUp: @escaping @Sendable (any Channel) throws -> Void = { _ in },
    handle:
        @escaping @Sendable (NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>)
        async throws -> Void,
    _ body: @Sendable (SocketAddress) async throws -> Result
) async throws -> Result {
    let server = try await ServerBootstrap(group: eventLoops)
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelOption(.socketOption(.so_rcvbuf), value: smallBuffer)
        .bind(to: try SocketAddress(ipAddress: "127.0.0.1", port: 0)) { channel in
            channel.eventLoop.makeCompletedFuture {
                try setUp(channel)
                return try Stream(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)
                )
            }
        }
    let address = try #require(server.channel.localAddress)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            try await server.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in connections {
                        // One that fails is not the others' business.
                        group.addTask { try? await connection.executeThenClose(handle) }
                    }
                }
            }
        }
        let result = try await body(address)
        group.cancelAll()
        try? await group.waitForAll()
        return result
    }
}

/// Sends back what comes, and ends when it ends.
@Sendable
func echo(
    _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
    _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
) async throws {
    for try await part in inbound { try await outbound.write(part) }
    outbound.finish()
}

/// A connection to the address, perhaps from another one of this machine (127.0.0.2 and so on).
func connect(
    to address: SocketAddress,
    from source: String? = nil,
    _ setUp: @escaping @Sendable (any Channel) throws -> Void = { _ in }
) async throws -> Stream {
    var bootstrap = ClientBootstrap(group: eventLoops)
        .channelOption(.allowRemoteHalfClosure, value: true)
        .channelOption(.socketOption(.so_rcvbuf), value: smallBuffer)
    if let source { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0)) }
    return try await bootstrap.connect(to: address) { channel in
        channel.eventLoop.makeCompletedFuture {
            try setUp(channel)
            return try Stream(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true)
            )
        }
    }
}

/// Reads until the other side ends; a reset is an end as well.
func readAll(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async -> [UInt8] {
    var bytes: [UInt8] = []
    do {
        for try await part in inbound { bytes += part.readableBytesView }
    } catch {}
    return bytes
}

/// Sends the bytes to a server that sends them back, ends, and returns what came.
///
/// The end waits for the bytes: the relay takes one before the backend is there for a client that has given up.
func exchange(_ bytes: [UInt8], _ stream: Stream) async throws -> [UInt8] {
    try await stream.executeThenClose { inbound, outbound in
        try await outbound.write(ByteBuffer(bytes: bytes))
        var received: [UInt8] = []
        for try await part in inbound {
            received += part.readableBytesView
            if received.count == bytes.count { outbound.finish() }
        }
        return received
    }
}

/// Waits for what another thread does. No time limit: a test that hangs is stopped from outside.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        try await eventLoops.next().scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
    }
}

/// A certificate that signs itself, for these names.
struct TestCertificate: Sendable {
    let server: TLSConfiguration
    let client: TLSConfiguration

    init(_ names: String...) throws {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("Hawser test") }
        let certificate = try Certificate(
            version: .v3,
            serialNumber: .init(),
            publicKey: .init(key.publicKey),
            notValidBefore: Date(timeIntervalSinceNow: -3600),
            notValidAfter: Date(timeIntervalSinceNow: 3600 * 24),
            issuer: name,
            subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                SubjectAlternativeNames(names.map { .dnsName($0) })
            },
            issuerPrivateKey: .init(key)
        )
        let pem = Array(try certificate.serializeAsPEM().pemString.utf8)
        server = .makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(pem).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.pemRepresentation.utf8), format: .pem))
        )
        var client = TLSConfiguration.makeClientConfiguration()
        client.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(pem))
        self.client = client
    }
}
