public import NIOCore

/// Learns from a relay's PROXY protocol header who the client is. The first handler of a server's connections, before TLS.
///
/// - A connection from one of the relays must begin with a header of version 2, complete within the time limit; anything
///   else closes it. So nobody reaches the server as "the relay", with the relay's address for rate limits.
/// - Of any other connection no header is accepted: it is passed on from its first byte with its own address, and to TLS a
///   header is garbage.
///
/// It reports once, before the first byte is passed on, and then leaves the pipeline.
///
/// ```swift
/// let handler = ProxyProtocolHandler(relays: relays) { outcome, channel in
///     if case .client(let address, _) = outcome { clients.set(address, for: channel) }
/// }
/// try channel.pipeline.syncOperations.addHandlers([handler, NIOSSLServerHandler(context: context)])
/// ```
public final class ProxyProtocolHandler: ChannelInboundHandler, RemovableChannelHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer

    public enum Outcome: Hashable, Sendable {
        /// The connection is this client's. `relay` is the relay's address when it came through one.
        case client(SocketAddress, relay: SocketAddress?)
        /// The connection is being closed. A short and stable reason, fit for a metrics label.
        case refused(String)
        /// The other side has left before its header was whole.
        case ended
    }

    private enum State {
        case idle
        case waiting(ByteBuffer?)
        case done
    }

    private let relays: [AddressBlock]
    private let timeLimit: TimeAmount
    private let report: (Outcome, any Channel) -> Void
    private var state = State.idle
    private var timer: Scheduled<Void>?
    private var hasLeft = false

    /// - Parameters:
    ///   - relays: From where headers are accepted, and must come.
    ///   - timeLimit: For the header, from the moment the connection is there.
    ///   - report: Called once for each connection that gets so far, on its event loop.
    public init(
        relays: [AddressBlock],
        timeLimit: TimeAmount = .seconds(5),
        report: @escaping (Outcome, any Channel) -> Void
    ) {
        self.relays = relays
        self.timeLimit = timeLimit
        self.report = report
    }

    public func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
        leaveWhenDone(context)
    }

    public func channelActive(context: ChannelHandlerContext) {
        begin(context)
        // Before this handler leaves: a handler that has left passes nothing on.
        context.fireChannelActive()
        leaveWhenDone(context)
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        begin(context)
        switch state {
        case .idle, .done:
            context.fireChannelRead(data)
            leaveWhenDone(context)
        case .waiting(var held):
            state = .waiting(nil)
            let bytes = unwrapInboundIn(data)
            if held?.writeImmutableBuffer(bytes) == nil { held = bytes }
            read(held ?? bytes, context)
        }
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        // A server that reads by hand has been told of nothing yet, so it would not ask for more.
        if case .waiting = state { context.read() }
        context.fireChannelReadComplete()
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .waiting = state, event as? ChannelEvent == .inputClosed {
            finish(.ended, context)
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        if case .waiting = state { finish(.ended, context) }
        context.fireChannelInactive()
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard case .idle = state else { return }
        guard let peer = context.channel.remoteAddress?.unmapped else {
            // The other side has reset it before it was here.
            finish(.ended, context)
            return context.close(promise: nil)
        }
        guard relays.contains(peer) else {
            return finish(.client(peer, relay: nil), context)
        }
        state = .waiting(nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeLimit) { [weak self] in
            self?.refuse("timeout", context)
        }
    }

    private func read(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        var bytes = bytes
        do {
            guard let header = try bytes.readProxyProtocolHeader() else {
                state = .waiting(bytes)
                return
            }
            // The relay's own connections (LOCAL) have its address.
            let relay = context.channel.remoteAddress?.unmapped
            guard let client = header.addresses?.source ?? relay else { return refuse("no_address", context) }
            finish(.client(client, relay: relay), context)
        } catch {
            return refuse("\(error)", context)
        }
        if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
        leaveWhenDone(context)
    }

    private func leaveWhenDone(_ context: ChannelHandlerContext) {
        guard case .done = state, !hasLeft else { return }
        hasLeft = true
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func refuse(_ reason: String, _ context: ChannelHandlerContext) {
        if case .done = state { return }
        finish(.refused(reason), context)
        context.close(promise: nil)
    }

    private func finish(_ outcome: Outcome, _ context: ChannelHandlerContext) {
        state = .done
        timer?.cancel()
        timer = nil
        report(outcome, context.channel)
    }
}

@available(*, unavailable)
extension ProxyProtocolHandler: Sendable {}
