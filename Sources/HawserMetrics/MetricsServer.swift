import HawserFormat
import HawserNetwork
public import Logging
public import NIOCore
import NIOHTTP1
import NIOPosix
public import ServiceLifecycle

/// Answers `GET /metrics`, `/healthz` and `/readyz`, for the monitoring of one machine. Meant for a loopback address: it
/// asks nobody for a password.
///
/// `/healthz` is 200 while the process answers at all; `/readyz` is 200 while the service takes new work, else 503.
public struct MetricsServer: Service {
    private let address: SocketAddress
    private let group: any EventLoopGroup
    private let logger: Logger
    private let text: @Sendable () -> String
    private let isReady: @Sendable () -> Bool
    private let onListening: @Sendable (SocketAddress) -> Void

    /// Connections at one time; a scraper needs one, and each is closed after its answer.
    private static let connectionLimit = 32
    /// For the whole of a connection, the answer included.
    private static let timeLimit = TimeAmount.seconds(10)

    /// - Parameters:
    ///   - text: The page of `/metrics`, in Prometheus' text format.
    ///   - onListening: Gets the address with the port that the system chose.
    public init(
        address: SocketAddress,
        group: any EventLoopGroup,
        logger: Logger,
        text: @escaping @Sendable () -> String,
        isReady: @escaping @Sendable () -> Bool,
        onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        self.address = address
        self.group = group
        self.logger = logger
        self.text = text
        self.isReady = isReady
        self.onListening = onListening
    }

    /// Listens until it is cancelled or shut down. A `ServiceGroup` shuts its services down from the last to the first, so
    /// this one stands before the service whose end monitoring is to see.
    public func run() async throws {
        let open = OpenCount()
        let server: any Channel
        do {
            server = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { server in
                    server.eventLoop.makeCompletedFuture {
                        try server.pipeline.syncOperations.addHandler(AcceptPauseHandler())
                    }
                }
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard open.enter(limit: MetricsServer.connectionLimit) else { throw ChannelError.eof }
                        channel.closeFuture.whenComplete { _ in open.leave() }
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandler(Responder(server: self))
                    }
                }
                .bind(to: address)
                .get()
        } catch {
            throw HawserError(.unavailable, "Metrics can't listen at \(address)", cause: error)
        }
        if let address = server.localAddress {
            logger.info("Metrics are served", metadata: ["address": "\(address)"])
            onListening(address)
        }
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await server.closeFuture.get()
            } onGracefulShutdown: {
                server.close(promise: nil)
            }
        } onCancel: {
            server.close(promise: nil)
        }
    }

    private final class Responder: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: MetricsServer
        private var head: HTTPRequestHead?
        private var timer: Scheduled<Void>?

        init(server: MetricsServer) {
            self.server = server
        }

        func handlerAdded(context: ChannelHandlerContext) {
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: MetricsServer.timeLimit) {
                context.close(promise: nil)
            }
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            timer?.cancel()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            // Of a body nothing is kept.
            case .body: break
            case .end:
                guard let head else { return }
                self.head = nil
                respond(to: head, context)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        private func respond(to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
            let (status, type, text) = answer(request)
            let body = context.channel.allocator.buffer(string: text)
            let head = HTTPResponseHead(
                version: .http1_1,
                status: status,
                headers: [
                    "content-type": type, "content-length": "\(body.readableBytes)", "connection": "close",
                ]
            )
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            if request.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
            let loopBound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
                loopBound.value.close(promise: nil)
            }
        }

        private func answer(_ request: HTTPRequestHead) -> (HTTPResponseStatus, String, String) {
            let plain = "text/plain; charset=utf-8"
            guard request.method == .GET || request.method == .HEAD else {
                return (.methodNotAllowed, plain, "Only GET and HEAD.\n")
            }
            switch request.uri.prefix(while: { $0 != "?" }) {
            case "/metrics": return (.ok, "text/plain; version=0.0.4; charset=utf-8", server.text())
            case "/healthz": return (.ok, plain, "ok\n")
            case "/readyz":
                return server.isReady()
                    ? (.ok, plain, "ready\n") : (.serviceUnavailable, plain, "not ready\n")
            default: return (.notFound, plain, "Here are /metrics, /healthz and /readyz.\n")
            }
        }
    }
}
