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
    private let peer: Peer

    fileprivate init(_ http: HTTP1Channel.Value, _ peer: Peer) {
        self.http = http
        self.peer = peer
        channel = http.channel
    }

    /// The client's, also behind a relay; `nil` for a connection that has ended.
    package var address: IPAddress? { peer.address }
}

/// Whose a connection is, and whether it was refused.
private final class Peer: Sendable {
    private struct State {
        var address: IPAddress?
        var isRefused = false
    }

    private let state = Mutex(State())

    var address: IPAddress? { state.withLock { $0.address } }

    /// When the first bytes have told it, before TLS begins.
    func identify(_ address: IPAddress) { state.withLock { $0.address = address } }

    /// - Returns: whether it was not refused before: how a refused connection ends is no other reason.
    func refuse() -> Bool {
        state.withLock { state in
            defer { state.isRefused = true }
            return !state.isRefused
        }
    }
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
        let peer = Peer()
        return channel.eventLoop.makeCompletedFuture {
            try count(peer, channel)
            // A client that has sent its FIN does not read the answer either.
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
            try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try channel.noticeDeadPeer(within: limits.stalled)
            let pipeline = channel.pipeline.syncOperations
            let firstHead = FirstHeadDeadline(TimeAmount(limits.firstHead)) { note($0, peer, channel) }
            try pipeline.addHandler(
                ProxyProtocolHandler(relays: relays, timeLimit: TimeAmount(limits.firstHead)) { outcome, channel in
                    switch outcome {
                    case .client(let address, _):
                        firstHead.begin(channel)
                        guard let client = IPAddress(address) else { return }
                        peer.identify(client)
                        if (try? count(client, peer, channel)) == nil { channel.close(promise: nil) }
                    case .refused(let error):
                        note(.relay, peer, channel, error)
                    case .ended:
                        // Who leaves before the relay has said anything was not refused.
                        break
                    }
                }
            )
            try pipeline.addHandler(NIOSSLServerHandler(context: context()))
            return ControlConnection(try http(channel, logger, firstHead), peer)
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

    /// As Hummingbird sets a connection up, but for what is read ahead of who takes it: fourteen reads of 64 KiB there,
    /// three here.
    private func http(
        _ channel: any Channel,
        _ logger: Logger,
        _ firstHead: FirstHeadDeadline
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
            firstHead,
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

    private func count(_ peer: Peer, _ channel: any Channel) throws(ConnectionRefused) {
        guard counter.enter() else {
            note(.total, peer, channel)
            throw .total
        }
        channel.closeFuture.whenComplete { [counter] _ in counter.leave() }
    }

    private func count(_ address: IPAddress, _ peer: Peer, _ channel: any Channel) throws(ConnectionRefused) {
        guard counter.enter(address) else {
            note(.address, peer, channel)
            throw .address
        }
        channel.closeFuture.whenComplete { [counter] _ in counter.leave(address) }
    }

    /// Once for each connection.
    private func note(_ why: ConnectionRefused, _ peer: Peer, _ channel: any Channel, _ error: String? = nil) {
        guard peer.refuse() else { return }
        onRefused(why)
        let address = peer.address ?? channel.address
        var metadata: Logger.Metadata = ["reason": "\(why.rawValue)"]
        metadata["client"] = "\(address.map { "\($0)" } ?? "unknown")"
        metadata["error"] = error.map { "\($0)" }
        refusals.note(why, .notice, "Connection refused", metadata)
    }
}

package enum ConnectionRefused: String, Error {
    case total, address, relay, tls, timeout
}

/// Closes a connection on which no request has begun in time; later ones are under the idle time-out. Tells of these,
/// and of those on which something else than TLS came.
private final class FirstHeadDeadline: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let time: TimeAmount
    private let onRefused: @Sendable (ConnectionRefused) -> Void
    private var deadline: Scheduled<Void>?

    init(_ time: TimeAmount, _ onRefused: @escaping @Sendable (ConnectionRefused) -> Void) {
        self.time = time
        self.onRefused = onRefused
    }

    /// Once it is known whose the connection is: a relay has as long for its header, and is to blame when none comes.
    func begin(_ channel: any Channel) {
        deadline = channel.eventLoop.scheduleTask(in: time) { [onRefused] in
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
        // Who connects and leaves, as checks of a port do, was not refused.
        if case .handshakeFailed(let reason)? = error as? NIOSSLError, !reason.isEnd { onRefused(.tls) }
        context.fireErrorCaught(error)
    }
}

extension BoringSSLError {
    /// The other side has ended the connection.
    fileprivate var isEnd: Bool {
        guard case .sslError(let stack) = self else { return false }
        return stack.contains(.eofDuringHandshake)
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
