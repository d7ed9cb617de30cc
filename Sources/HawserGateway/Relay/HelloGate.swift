import HawserNetwork
import NIOCore
import NIOPosix
import NIOTLS

/// What the handlers of all connections share.
struct RelayServices: Sendable {
    var configuration: CloudGateway.Configuration
    var router: Router
    var metrics: RelayMetrics
    var log: RelayLog
    var idle: IdleWatches
    /// Connects to a backend, with reading by hand, on the event loop given.
    var connect: @Sendable (BackendAddress, any EventLoop) -> EventLoopFuture<any Channel>
}

/// The first part of a client's connection: reads until the server name is known, within limits, reaches a backend, and
/// puts a ``RelayedConnection`` in its own place.
final class HelloGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let services: RelayServices
    private var state = HelloState()
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var name: String?

    /// A connection tries so many backends: with the time for each, it bounds how long a client waits.
    private static let attempts = 3

    private init(_ services: RelayServices) {
        self.services = services
    }

    /// Sets up a client's channel, which must be read by hand and allow half-closure.
    static func install(on channel: any Channel, _ services: RelayServices) throws {
        let gate = HelloGate(services)
        let names = SNIHandler { gate.decided($0, on: channel.eventLoop) }
        try channel.pipeline.syncOperations.addHandlers([gate, ByteToMessageHandler(names)])
    }

    // MARK: Events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        begin(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What still comes after a refusal is thrown away.
        if case .done = state.phase { return }
        if let refusal = state.receive(unwrapInboundIn(data)) { return refuse(refusal) }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if case .waiting = state.phase { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Nobody who wants an answer ends their side before it. It is not passed on: SNIHandler would let its bytes go.
        if event as? ChannelEvent == .inputClosed { return refuse(.ended) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { refuse(.ended) }

    func channelInactive(context: ChannelHandlerContext) {
        refuse(.ended)
        context.fireChannelInactive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard timer == nil, case .waiting = state.phase else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(services.configuration.helloLimit)) {
            self.refuse(.timeout)
        }
        context.read()
    }

    private func refuse(_ reason: HelloRefusal) {
        guard state.finish() else { return }
        timer?.cancel()
        timer = nil
        services.metrics.refused(reason)
        services.log.refused(reason, context?.remoteAddress, name: name)
        context?.close(promise: nil)
    }

    // MARK: The name, and a backend for it

    /// SNIHandler lets go of the client's bytes when what this returns succeeds, and leaves.
    private func decided(_ result: SNIResult, on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        let relayed = eventLoop.makePromise(of: Void.self)
        if case .hostname(let text) = result { name = text }
        if let name, let name = ServerName(name) {
            if state.beginDialling() {
                timer?.cancel()
                dial(name, tried: [], relayed)
                return relayed.futureResult
            }
        } else {
            // A name that is no host name can't be one of ours.
            refuse(name == nil ? .noName : .unknownName)
        }
        relayed.fail(ChannelError.eof)
        return relayed.futureResult
    }

    private func dial(_ name: ServerName, tried: [BackendAddress], _ relayed: EventLoopPromise<Void>) {
        guard let context else { return relayed.fail(ChannelError.eof) }
        let eventLoop = context.eventLoop
        let begin = eventLoop.now
        let answer = tried.count < HelloGate.attempts ? services.router.pick(name, tried: tried, now: begin) : .noneLeft
        guard case .backend(let choice) = answer else {
            if case .unknownName = answer { refuse(.unknownName) } else { refuse(.noBackend) }
            return relayed.fail(ChannelError.eof)
        }
        services.connect(choice.address, eventLoop).hop(to: eventLoop).assumeIsolated().whenComplete { result in
            let time = eventLoop.now - begin
            switch result {
            case .success(let backend):
                self.services.metrics.connected(ok: true, after: time)
                self.services.router.succeeded(choice.address)
                self.relay(to: backend, choice, relayed)
            case .failure(let error) where HelloGate.isOurs(error):
                self.services.router.released(choice.address)
                self.services.log.acceptFailed(error)
                self.refuse(.noResources)
                relayed.fail(error)
            case .failure(let error):
                self.services.metrics.connected(ok: false, after: time)
                self.services.router.failed(choice.address, error, now: eventLoop.now)
                if case .done = self.state.phase { return relayed.fail(error) }
                self.dial(name, tried: tried + [choice.address], relayed)
            }
        }
    }

    /// Out of descriptors, memory or ports: no backend is worse for it, and another would fail as well.
    private static func isOurs(_ error: any Error) -> Bool {
        if let error = error as? NIOConnectionError {
            return error.connectionErrors.contains { isOurs($0.error) }
        }
        guard let error = error as? IOError else { return false }
        return error.isOutOfResources || error.isOutOfPorts
    }

    private func relay(to backend: any Channel, _ choice: Router.Choice, _ relayed: EventLoopPromise<Void>) {
        guard let context, case .dialling = state.phase, backend.isActive else {
            // The client has left meanwhile, or the backend has.
            backend.close(promise: nil)
            services.router.released(choice.address)
            refuse(.noBackend)
            return relayed.fail(ChannelError.eof)
        }
        let services = services
        let connection = RelayedConnection(
            eventLoop: context.eventLoop,
            idle: services.idle.watch(of: context.eventLoop),
            metrics: services.metrics
        ) { end in
            services.metrics.relayEnded(end)
            services.router.released(choice.address)
        }
        services.metrics.relayBegins()
        do {
            let client = context.channel
            try client.pipeline.syncOperations.addHandler(connection.handler(.client))
            try backend.pipeline.syncOperations.addHandler(connection.handler(.backend))
            if choice.sendsProxyHeader {
                backend.write(HelloGate.proxyHeader(client, backend.allocator), promise: nil)
            }
        } catch {
            // One of the channels is closing. The connection has not got both, so it will never say that it ended.
            services.idle.watch(of: context.eventLoop).remove(connection)
            backend.close(promise: nil)
            context.close(promise: nil)
            services.metrics.relayEnded(.ended)
            services.router.released(choice.address)
        }
        _ = state.finish()
        // SNIHandler passes on the ClientHello, which starts the relay, and leaves.
        relayed.succeed()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private static func proxyHeader(_ client: any Channel, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        var addresses: ProxyProtocolHeader.Addresses?
        if let source = client.remoteAddress, let destination = client.localAddress {
            addresses = .init(source: source, destination: destination)
        }
        var buffer = allocator.buffer(capacity: 52)
        buffer.writeProxyProtocolHeader(ProxyProtocolHeader(addresses: addresses))
        return buffer
    }
}
