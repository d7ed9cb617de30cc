import NIOCore
import NIOSSL
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The open connections, so that none outlives the server.
final class Connections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var opened = 0
    }

    private let state = Mutex(State())

    /// All that ever came.
    var opened: Int { state.withLock { $0.opened } }
    var open: Int { state.withLock { $0.channels.count } }

    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        state.withLock { state in
            state.channels[id] = channel
            state.opened += 1
        }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { $0.channels[id] = nil }
        }
    }

    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }

    /// Enters its channel, in every pipeline.
    final class Handler: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = NIOAny

        private let connections: Connections

        init(_ connections: Connections) {
            self.connections = connections
        }

        func handlerAdded(context: ChannelHandlerContext) {
            connections.add(context.channel)
        }
    }
}

extension Channel {
    /// Closes with an RST, so that the other side does not take it for an orderly end.
    func reset() async {
        // Lingering for no time is what turns the FIN into an RST.
        let now = linger(l_onoff: 1, l_linger: 0)
        try? await (self as? any SocketOptionProvider)?.setSoLinger(now).get()
        try? await close()
    }

    /// Closes when all that was written has been sent.
    func closeAfterWrites() async {
        try? await close(mode: .output)
        try? await close()
    }

    /// Lets only so many more bytes out, and closes then.
    func cutOutput(afterBytes count: Int) async throws {
        try await eventLoop.submit {
            let pipeline = self.pipeline.syncOperations
            let tls = try? pipeline.handler(type: NIOSSLServerHandler.self)
            try pipeline.addHandler(OutputCut(count), position: tls.map { .after($0) } ?? .first)
        }.get()
    }
}

/// Ends the connection within what is being written.
private final class OutputCut: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private var left: Int
    private var isOver = false

    init(_ count: Int) {
        left = count
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(var buffer) = unwrapOutboundIn(data), !isOver else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        guard buffer.readableBytes >= left, let allowed = buffer.readSlice(length: left) else {
            left -= buffer.readableBytes
            context.write(data, promise: promise)
            return
        }
        isOver = true
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(allowed)), promise: promise)
        context.close(mode: .output, promise: nil)
    }
}
