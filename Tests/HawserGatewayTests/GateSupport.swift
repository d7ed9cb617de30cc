import Glibc
import HawserMetrics
import HawserNetwork
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOSSL
import Testing

@testable import HawserGateway

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func routes(_ text: String) throws -> RelayRoutes { try RelayRoutes(yaml: text) }

/// What a TLS client sends first.
func clientHello(_ name: String?) throws -> [UInt8] {
    let channel = EmbeddedChannel()
    let context = try NIOSSLContext(configuration: .makeClientConfiguration())
    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    var bytes: [UInt8] = []
    while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
    _ = try? channel.finish(acceptAlreadyClosed: true)
    return bytes
}

/// The value of one line of the metrics page.
func metric(_ registry: PrometheusRegistry, _ series: String) -> Double? {
    for line in registry.text().split(separator: "\n") where line.hasPrefix(series + " ") {
        return Double(line.dropFirst(series.utf8.count + 1))
    }
    return nil
}

/// A client's connection on an embedded loop; the test says what becomes of each attempt to reach a backend.
final class Gate {
    /// Counts reads, at the front of the pipeline.
    final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private(set) var count = 0
        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    let loop = EmbeddedEventLoop()
    let client: EmbeddedChannel
    let reads = Reads()
    let registry = PrometheusRegistry()
    let dials = NIOLockedValueBox<[(address: BackendAddress, promise: EventLoopPromise<any Channel>)]>([])
    let router: Router

    init(
        _ text: String = "routes: [{names: [control.test], backends: [\"10.0.0.1:1\", \"10.0.0.2:1\"]}]",
        peer: String = "203.0.113.5"
    ) throws {
        client = EmbeddedChannel(loop: loop)
        client.remoteAddress = try SocketAddress(ipAddress: peer, port: 4711)
        let isOld = try SocketAddress(ipAddress: peer, port: 1).protocol == .inet
        client.localAddress = try SocketAddress(ipAddress: isOld ? "198.51.100.1" : "2001:db8::2", port: 6180)
        let metrics = RelayMetrics(factory: registry)
        let log = RelayLog(silentLogger)
        router = Router(try routes(text), metrics: metrics, log: log)
        let services = RelayServices(
            configuration: .init(addresses: []),
            router: router,
            metrics: metrics,
            log: log,
            idle: IdleWatches(limit: .seconds(300)),
            connect: { [dials] address, loop in
                let promise = loop.makePromise(of: (any Channel).self)
                dials.withLockedValue { $0.append((address, promise)) }
                return promise.futureResult
            }
        )
        try client.pipeline.syncOperations.addHandler(reads)
        try HelloGate.install(on: client, services)
        // As if it were accepted: active from now on.
        client.connect(to: try SocketAddress(ipAddress: peer, port: 4711), promise: nil)
    }

    deinit {
        // A promise that is never kept is a crash of its own.
        for dial in dials.withLockedValue({ $0 }) { dial.promise.fail(ChannelError.eof) }
        _ = try? client.finish(acceptAlreadyClosed: true)
        loop.run()
    }

    func send(_ bytes: some Sequence<UInt8>) throws {
        try client.writeInbound(ByteBuffer(bytes: bytes))
        loop.run()
    }

    var dialled: [String] { dials.withLockedValue { $0.map(\.address.description) } }

    /// Lets the latest attempt succeed.
    func connectBackend() throws -> EmbeddedChannel {
        let backend = EmbeddedChannel(loop: loop)
        try backend.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 1)).wait()
        dials.withLockedValue { $0.last?.promise }?.succeed(backend)
        loop.run()
        return backend
    }

    func failBackend(_ error: any Error = IOError(errnoCode: ECONNREFUSED, reason: "connect")) {
        dials.withLockedValue { $0.last?.promise }?.fail(error)
        loop.run()
    }

    func refused(_ reason: HelloRefusal) -> Double? {
        metric(registry, "hawser_relay_hellos_refused_total{reason=\"\(reason.rawValue)\"}")
    }

    var allRefused: Double { HelloRefusal.allCases.compactMap { refused($0) }.reduce(0, +) }
}

/// What was written to the channel.
func written(_ channel: EmbeddedChannel) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
    return bytes
}
