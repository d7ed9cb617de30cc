import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// An HTTP/1.1 connection with one request at a time, which costs this program as little as it can: the server shares the
/// machine with it.
final class Connection: Sendable {
    struct Answer: Sendable {
        var status: Int
        var body: ByteBuffer

        func decoded<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            guard status == 200 else { throw Unexpected(status, body) }
            return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
        }
    }

    /// The connection ended before the answer did.
    struct Broken: Error {}

    struct Unexpected: Error, CustomStringConvertible {
        let status: Int
        let description: String

        init(_ status: Int, _ body: ByteBuffer) {
            self.status = status
            description = "status \(status): \(String(buffer: body).prefix(500))"
        }
    }

    private let channel: any Channel

    private init(_ channel: any Channel) {
        self.channel = channel
    }

    /// To the server's admin socket.
    static func admin(_ path: String) async throws -> Connection {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try addHTTP(to: channel) }
            }
            .connect(unixDomainSocketPath: path).get()
        return Connection(channel)
    }

    /// To the server, as a relay passes a tenant's connection on: the PROXY header first, then the tenant's TLS.
    ///
    /// - Parameter number: the tenant's; each has an address of its own.
    static func tenant(_ number: Int, _ port: Int, _ tls: NIOSSLContext, name: String) async throws -> Connection {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(ProxyHeader(tenant: number))
                    try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                    try addHTTP(to: channel)
                }
            }
            // Several addresses, so that the ports don't run out.
            .bind(to: SocketAddress(ipAddress: "127.0.0.\(2 + number % 8)", port: 0))
            .connect(host: "127.0.0.1", port: port).get()
        return Connection(channel)
    }

    private static func addHTTP(to channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHTTPClientHandlers()
        try pipeline.addHandler(ExchangeHandler())
    }

    /// - Parameters:
    ///   - body: JSON; makes it a POST.
    ///   - onLine: gets the lines of an answer that is a stream, on the event loop; the body of the answer is empty then.
    func send(
        _ path: String,
        token: String? = nil,
        _ body: ByteBuffer? = nil,
        onLine: (@Sendable (ByteBufferView) -> Void)? = nil
    ) async throws -> Answer {
        let answer = channel.eventLoop.makePromise(of: Answer.self)
        var head = HTTPRequestHead(version: .http1_1, method: body == nil ? .GET : .POST, uri: path)
        head.headers.add(name: "host", value: "load")
        if let token { head.headers.add(name: "authorization", value: "Bearer \(token)") }
        if let body { head.headers.add(name: "content-length", value: "\(body.readableBytes)") }
        // A connection that has ended has no handler any more that would say so.
        channel.writeAndFlush(Exchange(head: head, body: body, onLine: onLine, answer: answer))
            .whenFailure { answer.fail($0) }
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            close()
        }
    }

    func send(_ path: String, token: String? = nil, json: some Encodable) async throws -> Answer {
        try await send(path, token: token, ByteBuffer(bytes: try JSONEncoder().encode(json)))
    }

    func close() {
        channel.close(promise: nil)
    }
}

private struct Exchange: Sendable {
    var head: HTTPRequestHead
    var body: ByteBuffer?
    var onLine: (@Sendable (ByteBufferView) -> Void)?
    var answer: EventLoopPromise<Connection.Answer>
}

private final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Exchange
    typealias OutboundOut = HTTPClientRequestPart

    private var running: Exchange?
    private var isOver = false
    private var status = 0
    private var body = ByteBuffer()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        guard running == nil, !isOver else {
            promise?.fail(Connection.Broken())
            return
        }
        running = exchange
        context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
        if let body = exchange.body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            status = Int(head.status.code)
            body = ByteBuffer()
        case .body(var part):
            body.writeBuffer(&part)
            guard status == 200, let onLine = running?.onLine else { return }
            while let end = body.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                onLine(body.readableBytesView[..<end])
                body.moveReaderIndex(to: end + 1)
            }
            body.discardReadBytes()
        case .end:
            running?.answer.succeed(Connection.Answer(status: status, body: body))
            running = nil
            body = ByteBuffer()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func end() {
        isOver = true
        running?.answer.fail(Connection.Broken())
        running = nil
    }
}

/// PROXY protocol, version 2: IPv4, TCP.
private final class ProxyHeader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let tenant: Int

    init(tenant: Int) {
        self.tenant = tenant
    }

    func channelActive(context: ChannelHandlerContext) {
        var header = ByteBuffer(bytes: [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
        header.writeMultipleIntegers(0x21 as UInt8, 0x11 as UInt8, 12 as UInt16)
        // 10.0.0.1 and so on, to 127.0.0.1.
        header.writeMultipleIntegers(
            0x0a00_0001 + UInt32(tenant),
            0x7f00_0001 as UInt32,
            40_000 as UInt16,
            6180 as UInt16
        )
        context.writeAndFlush(wrapOutboundOut(header), promise: nil)
        context.fireChannelActive()
    }
}
