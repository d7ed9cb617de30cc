import NIOCore

/// The two channels of one relayed connection, which share an event loop; carries out what ``RelayState`` decides.
final class RelayedConnection {
    private let eventLoop: any EventLoop
    private let idle: IdleWatch
    private let metrics: RelayMetrics
    private var finished: ((RelayEnd) -> Void)?

    private var state = RelayState()
    private var client: ChannelHandlerContext?
    private var backend: ChannelHandlerContext?
    private(set) var lastActivity: NIODeadline
    /// The first reason counts: the others follow from it.
    private var end: RelayEnd?

    /// - Parameter finished: Called once, when both channels are closed.
    init(
        eventLoop: any EventLoop,
        idle: IdleWatch,
        metrics: RelayMetrics,
        finished: @escaping (RelayEnd) -> Void
    ) {
        self.eventLoop = eventLoop
        self.idle = idle
        self.metrics = metrics
        self.finished = finished
        lastActivity = eventLoop.now
        idle.add(self)
    }

    /// The handler for one of the channels.
    func handler(_ side: RelayState.Side) -> Handler { Handler(side: side, connection: self) }

    // MARK: Events

    fileprivate func received(_ bytes: ByteBuffer, from side: RelayState.Side) {
        guard bytes.readableBytes > 0, state.canForward(from: side) else { return }
        if !state.hasStarted {
            // The relay doesn't read the backend before it has passed on the ClientHello. So the backend has sent something
            // first and has closed: it doesn't speak TLS.
            guard side == .client else { return abort(.backendError) }
        }
        lastActivity = eventLoop.now
        metrics.relayed(bytes.readableBytes, from: side)
        context(side.other)?.write(NIOAny(bytes), promise: nil)
        perform(state.start())
    }

    fileprivate func readCompleted(_ side: RelayState.Side) { perform(state.readCompleted(side)) }

    fileprivate func writabilityChanged(_ side: RelayState.Side, isWritable: Bool) {
        // A slow reader takes bytes although nothing new is read.
        lastActivity = eventLoop.now
        perform(state.writabilityChanged(side, isWritable: isWritable))
    }

    fileprivate func inputEnded(_ side: RelayState.Side) {
        end = end ?? .ended
        perform(state.inputEnded(side))
    }

    fileprivate func failed(_ side: RelayState.Side) {
        abort(side == .client ? .clientError : .backendError)
    }

    fileprivate func closed(_ side: RelayState.Side) {
        end = end ?? (side == .client ? .clientError : .backendError)
        perform(state.closed(side))
    }

    /// Nothing has moved for too long.
    func isIdle() { abort(.idle) }

    private func abort(_ reason: RelayEnd) {
        end = end ?? reason
        perform(state.aborted())
    }

    // MARK: Actions

    private func perform(_ actions: RelayState.Actions) {
        if actions.isEmpty { return }
        performOutput(actions, .client)
        performOutput(actions, .backend)
        if actions.contains(.read(.client)) { client?.read() }
        if actions.contains(.read(.backend)) { backend?.read() }
        if actions.contains(.close(.client)) { client?.close(promise: nil) }
        if actions.contains(.close(.backend)) { backend?.close(promise: nil) }
        if actions.contains(.finish) { finish() }
    }

    private func performOutput(_ actions: RelayState.Actions, _ side: RelayState.Side) {
        if actions.contains(.flush(side)) { context(side)?.flush() }
        if actions.contains(.drain(side)) { drain(side) }
        if actions.contains(.shutDown(side)) { context(side)?.close(mode: .output, promise: nil) }
    }

    /// Writes are done in order, so an empty one tells when those before it are.
    private func drain(_ side: RelayState.Side) {
        guard let context = context(side) else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { self.perform(self.state.drained(side)) }
        context.writeAndFlush(NIOAny(ByteBuffer()), promise: written)
    }

    private func finish() {
        idle.remove(self)
        let finished = finished
        self.finished = nil
        finished?(end ?? .ended)
    }

    // MARK: Channels

    private func context(_ side: RelayState.Side) -> ChannelHandlerContext? {
        side == .client ? client : backend
    }

    fileprivate func attach(_ context: ChannelHandlerContext?, _ side: RelayState.Side) {
        switch side {
        case .client: client = context
        case .backend: backend = context
        }
    }
}

extension RelayedConnection {
    /// One end's only handler once the relay runs.
    final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let side: RelayState.Side
        private let connection: RelayedConnection

        fileprivate init(side: RelayState.Side, connection: RelayedConnection) {
            self.side = side
            self.connection = connection
        }

        func handlerAdded(context: ChannelHandlerContext) { connection.attach(context, side) }

        func handlerRemoved(context: ChannelHandlerContext) {
            connection.attach(nil, side)
            connection.closed(side)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            connection.received(unwrapInboundIn(data), from: side)
        }

        func channelReadComplete(context: ChannelHandlerContext) { connection.readCompleted(side) }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            connection.writabilityChanged(side, isWritable: context.channel.isWritable)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event as? ChannelEvent == .inputClosed { connection.inputEnded(side) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.failed(side) }

        func channelInactive(context: ChannelHandlerContext) { connection.closed(side) }
    }
}
