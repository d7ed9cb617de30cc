import NIOCore
import NIOPosix
import NIOSSL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A TLS connection on which requests are written by hand.
struct TLSConnection {
    struct Answer {
        var status: Int
        var body: [UInt8]
    }

    private let channel: any Channel
    private var parts: AsyncStream<ByteBuffer>.Iterator
    private var held: [UInt8] = []

    fileprivate init(_ channel: any Channel, _ parts: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.parts = parts.makeAsyncIterator()
    }

    /// Returns when the system has the bytes.
    func send(_ bytes: some Sequence<UInt8>) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    /// The answer to what was sent; `nil` when the connection ends before it has come as a whole.
    mutating func answer(to bytes: some Sequence<UInt8>) async -> Answer? {
        guard (try? await send(bytes)) != nil else { return nil }
        return await answer()
    }

    mutating func answer() async -> Answer? {
        while true {
            if let answer = takeAnswer() { return answer }
            guard let part = await parts.next(isolation: #isolation) else { return nil }
            held += part.readableBytesView
        }
    }

    private mutating func takeAnswer() -> Answer? {
        guard let end = held.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: held[..<end.lowerBound], as: UTF8.self).lowercased().split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        let length = lines.first { $0.hasPrefix("content-length:") }?.split(separator: " ").last.flatMap { Int($0) }
        guard let status, held.count >= end.upperBound + (length ?? 0) else { return nil }
        let body = Array(held[end.upperBound..<end.upperBound + (length ?? 0)])
        held.removeFirst(end.upperBound + body.count)
        return Answer(status: status, body: body)
    }
}

/// - Parameter first: sent before TLS begins, as a relay does.
func withTLSConnection<Result: Sendable>(
    _ port: Int,
    _ authorities: [Data],
    serverName: String = TestClient.serverName,
    first: [UInt8] = [],
    _ body: (inout TLSConnection) async throws -> Result
) async throws -> Result {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv13
    tls.trustRoots = .certificates(try authorities.map { try NIOSSLCertificate(bytes: Array($0), format: .der) })
    let context = try NIOSSLContext(configuration: tls)
    let stream = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers([
                    FirstBytes(first), NIOSSLClientHandler(context: context, serverHostname: serverName),
                ])
                return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    return try await stream.executeThenClose { inbound, _ in
        let (parts, part) = AsyncStream.makeStream(of: ByteBuffer.self)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { part.finish() }
                for try await bytes in inbound { part.yield(bytes) }
            }
            defer { group.cancelAll() }
            var connection = TLSConnection(stream.channel, parts)
            return try await body(&connection)
        }
    }
}

private final class FirstBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func channelActive(context: ChannelHandlerContext) {
        if !bytes.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil) }
        context.fireChannelActive()
    }
}
