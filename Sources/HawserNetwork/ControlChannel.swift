package import HummingbirdCore
package import Logging
package import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
package import NIOSSL
import Synchronization

/// One connection of a client, as the service sees it.
package final class ControlConnection: ServerChildChannelValue {
    package let channel: any Channel
    let http: HTTP1Channel.Value
    private let peer: PeerAddress

    fileprivate init(_ http: HTTP1Channel.Value, _ peer: PeerAddress) {
        self.http = http
        self.peer = peer
        channel = http.channel
    }

    /// The client's, also behind a relay; `nil` for a connection that has ended.
    package var address: IPAddress? { peer.value.withLock { $0 } }
}

/// Filled in when the first bytes have told whose the connection is, before TLS begins.
private final class PeerAddress: Sendable {
    let value = Mutex<IPAddress?>(nil)
}

/// Sets a connection up: limits, a relay's header, TLS with the certificate of now, HTTP/1.1.
///
/// Hummingbird's own TLS channel holds one context for ever, so a renewed certificate could never be shown.
package struct ControlChannel: ServerChildChannel {
    package typealias Responder =
        @concurrent @Sendable (Request, consuming ResponseWriter, ControlConnection) async throws -> Void

    let limits: ServerLimits
    let counter: ConnectionCounter
    let context: @Sendable () -> NIOSSLContext
    /// Relays, whose connections begin with a header that names the client.
    let relays: [AddressBlock]
    let responder: Responder
    let onRefused: @Sendable (ConnectionRefused) -> Void
    private let refusals: ThrottledLog<ConnectionRefused>

    package init(
        limits: ServerLimits,
        counter: ConnectionCounter,
        context: @escaping @Sendable () -> NIOSSLContext,
        relays: [AddressBlock],
        logger: Logger,
        onRefused: @escaping @Sendable (ConnectionRefused) -> Void,
        responder: @escaping Responder
    ) {
        self.limits = limits
        self.counter = counter
        self.context = context
        self.relays = relays
        self.onRefused = onRefused
        refusals = ThrottledLog(logger)
        self.responder = responder
    }

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<ControlConnection> {
        let peer = PeerAddress()
        return channel.eventLoop.makeCompletedFuture {
            try count(channel)
            // A client that has sent its FIN does not read the answer either.
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
            try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try channel.noticeDeadPeer(within: limits.stalled)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(
                ProxyProtocolHandler(relays: relays, timeLimit: TimeAmount(limits.firstHead)) { outcome, channel in
                    guard case .client(let address, _) = outcome, let client = IPAddress(address) else {
                        // Who leaves before the relay has said anything was not refused.
                        if case .refused(let error) = outcome { note(.relay, channel.address, error) }
                        return
                    }
                    peer.value.withLock { $0 = client }
                    if (try? count(client, channel)) == nil { channel.close(promise: nil) }
                }
            )
            try pipeline.addHandler(NIOSSLServerHandler(context: context()))
            let connection = try http(channel, logger) { note($0, peer.value.withLock { $0 } ?? channel.address) }
            return ControlConnection(connection, peer)
        }.flatMapErrorThrowing { error in
            logger.debug("Connection not set up", metadata: ["error": "\(error)"])
            // Nobody else does: NIO forgets a connection whose set-up failed.
            channel.close(promise: nil)
            throw error
        }
    }

    package func handle(value connection: ControlConnection, logger: Logger) async {
        await HTTP1Channel { [responder] request, writer, _ in try await responder(request, writer, connection) }
            .handle(value: connection.http, logger: logger)
    }

    /// As Hummingbird sets a connection up, but for what is read ahead of who takes it: fourteen reads of 64 KiB there, three here.
    private func http(
        _ channel: any Channel,
        _ logger: Logger,
        _ onRefused: @escaping @Sendable (ConnectionRefused) -> Void
    ) throws -> HTTP1Channel.Value {
        let pipeline = channel.pipeline.syncOperations
        var decoderLimits = NIOHTTPDecoderLimitConfiguration()
        decoderLimits.maxHeaderFieldSize = limits.head
        decoderLimits.maxHeaderListSize = limits.head
        decoderLimits.maxHeaderFieldCount = 64
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false,
            withErrorHandling: false,
            withOutboundHeaderValidation: false,
            withEncoderConfiguration: .init(),
            withDecoderLimitConfiguration: decoderLimits
        )
        try pipeline.addHandlers([
            HTTP1ToHTTPServerCodec(secure: false),
            FirstHeadDeadline(TimeAmount(limits.firstHead), onRefused),
            HTTPConnectionStateHandler(idleTimeout: limits.idle, logger: logger),
        ])
        return try NIOAsyncChannel(
            wrappingChannelSynchronously: channel,
            configuration: .init(
                backPressureStrategy: .init(lowWatermark: 1, highWatermark: 2),
                isOutboundHalfClosureEnabled: true
            )
        )
    }

    private func count(_ channel: any Channel) throws(ConnectionRefused) {
        guard counter.enter() else { throw note(.total, channel.address) }
        channel.closeFuture.whenComplete { [counter] _ in counter.leave() }
    }

    private func count(_ address: IPAddress, _ channel: any Channel) throws(ConnectionRefused) {
        guard counter.enter(address) else { throw note(.address, address) }
        channel.closeFuture.whenComplete { [counter] _ in counter.leave(address) }
    }

    @discardableResult
    private func note(_ why: ConnectionRefused, _ address: IPAddress?, _ error: String? = nil) -> ConnectionRefused {
        onRefused(why)
        var metadata: Logger.Metadata = ["reason": "\(why.rawValue)"]
        metadata["client"] = "\(address.map { "\($0)" } ?? "unknown")"
        metadata["error"] = error.map { "\($0)" }
        refusals.note(why, .notice, "Connection refused", metadata)
        return why
    }
}

package enum ConnectionRefused: String, Error {
    case total, address, relay, tls, timeout
}

/// Closes a connection on which no request has begun in time; later ones are under the idle time-out. Tells of these, and of
/// those on which something else than TLS came.
private final class FirstHeadDeadline: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let time: TimeAmount
    private let onRefused: @Sendable (ConnectionRefused) -> Void
    private var deadline: Scheduled<Void>?

    init(_ time: TimeAmount, _ onRefused: @escaping @Sendable (ConnectionRefused) -> Void) {
        self.time = time
        self.onRefused = onRefused
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let (channel, onRefused) = (context.channel, onRefused)
        deadline = context.eventLoop.scheduleTask(in: time) {
            guard channel.isActive else { return }
            onRefused(.timeout)
            channel.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        deadline?.cancel()
        deadline = nil
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if deadline != nil, case .handshakeFailed? = error as? NIOSSLError { onRefused(.tls) }
        context.fireErrorCaught(error)
    }
}

extension Channel {
    fileprivate var address: IPAddress? { remoteAddress.flatMap { IPAddress($0) } }

    /// Closes the connection when the other side has acknowledged nothing for so long, though something was sent to it.
    fileprivate func noticeDeadPeer(within time: Duration) throws {
        #if os(Linux)
            // TCP_USER_TIMEOUT (RFC 5482), in milliseconds; the constant is not in Swift's Glibc module.
            let option = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 18))
            try syncOptions?.setOption(option, value: .init(time / .milliseconds(1)))
        #endif
    }
}
