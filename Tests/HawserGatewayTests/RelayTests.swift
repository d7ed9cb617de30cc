import HawserNetwork
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import HawserGateway

/// Through real sockets.
struct RelayTests {
    @Test func tlsGoesThroughToTheBackendThatTheNameSays() async throws {
        let certificate = try TestCertificate("one.test", "two.test")
        let serverContext = try NIOSSLContext(configuration: certificate.server)
        let clientContext = try NIOSSLContext(configuration: certificate.client)
        let relays = [try #require(AddressBlock("127.0.0.0/8"))]
        let clients = NIOLockedValueBox<[ProxyProtocolHandler.Outcome]>([])
        @Sendable func setUp(_ channel: any Channel) throws {
            try channel.pipeline.syncOperations.addHandlers([
                ProxyProtocolHandler(relays: relays) { outcome, _ in clients.withLockedValue { $0.append(outcome) } },
                NIOSSLServerHandler(context: serverContext),
            ])
        }
        @Sendable func answer(_ name: String)
            -> @Sendable (NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>)
            async throws -> Void
        {
            { inbound, outbound in
                for try await part in inbound {
                    try await outbound.write(ByteBuffer(string: name + String(buffer: part)))
                }
            }
        }
        try await withServer(setUp, handle: answer("1:")) { one in
            try await withServer(setUp, handle: answer("2:")) { two in
                let text = """
                    routes:
                      - {names: [one.test], backends: ["\(one.forLog)"]}
                      - {names: ["*.test"], backends: ["\(two.forLog)"]}
                    """
                try await withGateway(text) { gateway in
                    for (name, prefix) in [("one.test", "1:"), ("two.test", "2:")] {
                        let stream = try await connect(to: gateway.address) { channel in
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: clientContext, serverHostname: name)
                            )
                        }
                        let own = try #require(stream.channel.localAddress)
                        try await stream.executeThenClose { inbound, outbound in
                            try await outbound.write(ByteBuffer(string: "hello"))
                            var answer = ""
                            for try await part in inbound {
                                answer += String(buffer: part)
                                if answer.utf8.count == 7 { break }
                            }
                            #expect(answer == prefix + "hello")
                        }
                        // The tenant's address, not the relay's.
                        guard case .client(own, relay: _?)? = clients.withLockedValue({ $0.last }) else {
                            Issue.record("\(clients.withLockedValue { $0 })")
                            return
                        }
                    }
                }
            }
        }
    }

    /// Bytes that are cheap to make and to check: position decides.
    private static let pattern: ByteBuffer = {
        var state: UInt64 = 88_172_645_463_325_252
        // Not a power of two, so that lost or repeated blocks show.
        return ByteBuffer(
            bytes: (0..<65_521).map { _ in
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                return UInt8(truncatingIfNeeded: state)
            }
        )
    }()

    @Sendable
    private static func send(_ count: Int, to outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
        var sent = 0
        while sent < count {
            let part = pattern.getSlice(at: 0, length: min(pattern.readableBytes, count - sent)) ?? pattern
            try await outbound.write(part)
            sent += part.readableBytes
        }
    }

    /// Checks that the bytes are the pattern; `received` is called with the number of bytes so far.
    private static func check(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        skip: Int = 0,
        received: (Int) async throws -> Void = { _ in }
    ) async throws -> Int {
        var skip = skip
        var count = 0
        for try await var part in inbound {
            let skipped = min(skip, part.readableBytes)
            part.moveReaderIndex(forwardBy: skipped)
            skip -= skipped
            while part.readableBytes > 0 {
                let place = count % pattern.readableBytes
                let length = min(pattern.readableBytes - place, part.readableBytes)
                guard part.readSlice(length: length) == pattern.getSlice(at: place, length: length) else {
                    Issue.record("Other bytes than were sent, between \(count) and \(count + length)")
                    return count
                }
                count += length
            }
            try await received(count)
        }
        return count
    }

    /// Each side sends 8 MiB. The slow one begins to read only when the relay holds as much for it as it may, and the relay
    /// never holds more. Each side ends when both have got everything: at the end of a peer NIO reads all that the kernel
    /// has, which is another bound.
    @Test(arguments: [true, false])
    func bytesArriveWithASlowReaderAndBoundedMemory(slowClient: Bool) async throws {
        let count = 8 << 20
        let hello = try clientHello("a.test")
        let connected = AsyncGate()
        let (clientIsDone, serverIsDone) = (AsyncGate(), AsyncGate())
        let most = NIOLockedValueBox(0)
        let relay = NIOLockedValueBox<RunningGateway?>(nil)

        /// The relay's channel to the slow side.
        @Sendable func held() -> (any Channel)? {
            let gateway = relay.withLockedValue { $0 }
            return slowClient ? gateway?.gateway.openChannels.first : gateway?.backends.withLockedValue { $0.first }
        }
        @Sendable func run(
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
            isSlow: Bool,
            skip: Int,
            done: AsyncGate,
            other: AsyncGate
        ) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await Self.send(count, to: outbound) }
                await connected.opened()
                let channel = held()
                if isSlow {
                    try await eventually {
                        try await channel?.getOption(.bufferedWritableBytes).get() ?? 0 >= 64 * 1024
                    }
                }
                var next = 0
                let received = try await Self.check(inbound, skip: skip) { received in
                    if isSlow, received >= next, let channel {
                        next = received + (1 << 17)
                        let waiting = try await channel.getOption(.bufferedWritableBytes).get()
                        most.withLockedValue { $0 = max($0, waiting) }
                    }
                    guard received == count else { return }
                    done.open()
                    await other.opened()
                    outbound.finish()
                }
                #expect(received == count)
                try await group.waitForAll()
            }
        }
        @Sendable func handle(
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) async throws {
            try await run(
                inbound,
                outbound,
                isSlow: !slowClient,
                skip: hello.count,
                done: serverIsDone,
                other: clientIsDone
            )
        }
        try await withServer(handle: handle) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            try await withGateway(text) { gateway in
                relay.withLockedValue { $0 = gateway }
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello))
                    try await eventually { !gateway.backends.withLockedValue { $0.isEmpty } }
                    connected.open()
                    try await run(
                        inbound,
                        outbound,
                        isSlow: slowClient,
                        skip: 0,
                        done: clientIsDone,
                        other: serverIsDone
                    )
                }
                try await eventually { gateway.gateway.connectionCount == 0 }
                #expect(gateway.metric("hawser_relay_bytes_total{direction=\"to_client\"}") == Double(count))
                #expect(
                    gateway.metric("hawser_relay_bytes_total{direction=\"to_backend\"}")
                        == Double(count + hello.count)
                )
                #expect(gateway.metric("hawser_relay_connections_ended_total{reason=\"ended\"}") == 1)
            }
        }
        // The upper mark, and one read on top.
        let seen = most.withLockedValue { $0 }
        #expect(seen >= 32 * 1024 && seen <= 64 * 1024 + 64 * 1024, "\(seen)")
    }

    /// The client ends its side; the backend answers after that.
    @Test func halfCloseOfTheClient() async throws {
        let hello = try clientHello("a.test")
        @Sendable func handle(
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) async throws {
            let all = await readAll(inbound)
            try await outbound.write(ByteBuffer(string: "got \(all.count)"))
            outbound.finish()
        }
        try await withServer(handle: handle) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            try await withGateway(text) { gateway in
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello + [1, 2, 3]))
                    try await eventually { gateway.backends.withLockedValue { $0.count } == 1 }
                    outbound.finish()
                    #expect(await readAll(inbound) == Array("got \(hello.count + 3)".utf8))
                }
                try await eventually { gateway.gateway.connectionCount == 0 }
                #expect(gateway.metric("hawser_relay_connections_ended_total{reason=\"ended\"}") == 1)
            }
        }
    }

    /// The backend ends its side; the client goes on sending.
    @Test func halfCloseOfTheBackend() async throws {
        let hello = try clientHello("a.test")
        let (totals, continuation) = AsyncStream.makeStream(of: Int.self)
        @Sendable func handle(
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) async throws {
            try await outbound.write(ByteBuffer(string: "bye"))
            outbound.finish()
            continuation.yield(await readAll(inbound).count)
        }
        try await withServer(handle: handle) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            try await withGateway(text) { gateway in
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello))
                    #expect(await readAll(inbound) == Array("bye".utf8))
                    try await outbound.write(ByteBuffer(bytes: [UInt8](repeating: 7, count: 100_000)))
                    outbound.finish()
                    #expect(await totals.first { _ in true } == hello.count + 100_000)
                }
                try await eventually { gateway.gateway.connectionCount == 0 }
            }
        }
    }

    @Test func helloInManySegments() async throws {
        let hello = try clientHello("a.test")
        try await withServer(handle: echo) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            try await withGateway(text) { gateway in
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    for byte in hello { try await outbound.write(ByteBuffer(bytes: [byte])) }
                    var received: [UInt8] = []
                    for try await part in inbound {
                        received += part.readableBytesView
                        if received.count == hello.count { break }
                    }
                    #expect(received == hello)
                }
            }
        }
    }

    @Test func backendThatDiesEndsItsConnectionsOnly() async throws {
        let hello = try clientHello("a.test")
        try await withServer(handle: echo) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            try await withGateway(text) { gateway in
                let one = try await connect(to: gateway.address)
                let two = try await connect(to: gateway.address)
                try await one.executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello))
                    try await eventually { gateway.backends.withLockedValue { $0.count } == 1 }
                    try await two.executeThenClose { inboundTwo, outboundTwo in
                        try await outboundTwo.write(ByteBuffer(bytes: hello))
                        try await eventually { gateway.backends.withLockedValue { $0.count } == 2 }
                        try await gateway.backends.withLockedValue { $0[0] }.close()
                        _ = await readAll(inbound)
                        // The other one goes on.
                        var parts = inboundTwo.makeAsyncIterator()
                        #expect(try await parts.next()?.readableBytes ?? 0 > 0)
                    }
                }
                try await eventually { gateway.gateway.connectionCount == 0 }
                #expect(gateway.metric("hawser_relay_connections_ended_total{reason=\"backend_error\"}") == 1)
            }
        }
    }

    @Test func deadBackendIsReplaced() async throws {
        let hello = try clientHello("a.test")
        // A port where nobody listens any more.
        let dead = try await withServer(handle: echo) { $0 }
        try await withServer(handle: echo) { server in
            let text = """
                routes: [{names: [a.test], backends: ["\(dead.forLog)", "\(server.forLog)"], proxy-protocol: false}]
                """
            try await withGateway(text) { gateway in
                // The first of two equal ones is random, so until the dead one was tried.
                let failed = "hawser_relay_backend_connects_total{result=\"failed\"}"
                while gateway.metric(failed) == 0 {
                    let answer = try await exchange(hello, connect(to: gateway.address))
                    #expect(answer == hello)
                }
                #expect(gateway.metric("hawser_relay_backend_healthy{backend=\"\(dead.forLog)\"}") == 0)
                #expect(gateway.metric("hawser_relay_backend_healthy{backend=\"\(server.forLog)\"}") == 1)
            }
        }
    }
}

/// Lets waiters through once it is open.
final class AsyncGate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func open() { continuation.finish() }
    func opened() async { for await _ in stream {} }
}
