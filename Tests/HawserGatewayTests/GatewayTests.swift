import HawserFormat
import HawserNetwork
import InMemoryLogging
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ServiceLifecycle
import Testing

@testable import HawserGateway

/// Limits, reload and stop, through real sockets.
struct GatewayTests {
    private let nowhere = "routes: [{names: [a.test], backends: [\"127.0.0.1:1\"], proxy-protocol: false}]"

    private func refused(_ gateway: RunningGateway, _ reason: AdmissionRefusal) -> Double? {
        gateway.metric("hawser_relay_connections_refused_total{reason=\"\(reason.rawValue)\"}")
    }

    private func closed(_ gateway: RunningGateway, _ reason: HelloRefusal) -> Double? {
        gateway.metric("hawser_relay_hellos_refused_total{reason=\"\(reason.rawValue)\"}")
    }

    /// Connects and reads until the gateway closes.
    private func isClosedAtOnce(_ gateway: RunningGateway) async throws -> Bool {
        do {
            return try await connect(to: gateway.address).executeThenClose { inbound, _ in
                await readAll(inbound).isEmpty
            }
        } catch {
            // Reset before the client was set up.
            return true
        }
    }

    @Test func limitPerAddress() async throws {
        func change(_ configuration: inout CloudGateway.Configuration) {
            configuration.limits.connectionsPerAddress = 2
        }
        try await withGateway(nowhere, change) { gateway in
            let one = try await connect(to: gateway.address)
            let two = try await connect(to: gateway.address)
            try await eventually { gateway.gateway.connectionCount == 2 }
            let isClosed = try await isClosedAtOnce(gateway)
            #expect(isClosed)
            #expect(refused(gateway, .address) == 1)
            try await one.executeThenClose { _, _ in }
            try await eventually { gateway.gateway.connectionCount == 1 }
            let three = try await connect(to: gateway.address)
            try await eventually { gateway.gateway.connectionCount == 2 }
            for stream in [two, three] { try await stream.executeThenClose { _, _ in } }
            try await eventually { gateway.gateway.connectionCount == 0 }
            #expect(gateway.metric("hawser_relay_connections_accepted_total") == 3)
            #expect(gateway.metric("hawser_relay_connections_open") == 0)
        }
    }

    @Test func limitInTotalAndExemptAddresses() async throws {
        let block = try #require(AddressBlock("127.0.0.0/8"))
        func change(_ configuration: inout CloudGateway.Configuration) {
            configuration.limits.connections = 3
            configuration.limits.connectionsPerAddress = 1
            configuration.limits.exempt = [block]
        }
        try await withGateway(nowhere, change) { gateway in
            var streams: [HawserGatewayTests.Stream] = []
            for count in 1...3 {
                streams.append(try await connect(to: gateway.address))
                try await eventually { gateway.gateway.connectionCount == count }
            }
            let isClosed = try await isClosedAtOnce(gateway)
            #expect(isClosed)
            #expect(refused(gateway, .total) == 1)
            #expect(refused(gateway, .address) == 0)
            for stream in streams { try await stream.executeThenClose { _, _ in } }
        }
    }

    @Test func rateOfNewConnections() async throws {
        func change(_ configuration: inout CloudGateway.Configuration) {
            configuration.limits.newPerSecondAndAddress = 1
            configuration.limits.burstPerAddress = 1
        }
        try await withGateway(nowhere, change) { gateway in
            // One a second is let in, so of several in a row some are not, however slow the machine is.
            try await eventually {
                try? await connect(to: gateway.address).executeThenClose { _, _ in }
                return refused(gateway, .rate) != 0
            }
            #expect(refused(gateway, .address) == 0)
        }
    }

    @Test func unknownNameAndGarbageAreClosed() async throws {
        try await withGateway(nowhere) { gateway in
            for bytes in [try clientHello("b.test"), try clientHello(nil), Array("GET / HTTP/1.1\r\n\r\n".utf8)] {
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: bytes))
                    #expect(await readAll(inbound).isEmpty)
                }
            }
            try await eventually { gateway.gateway.connectionCount == 0 }
            for reason in [HelloRefusal.unknownName, .noName, .notTLS] {
                #expect(closed(gateway, reason) == 1)
            }
        }
    }

    /// Sends the bytes and waits until the gateway ends the connection.
    private func knock(_ gateway: RunningGateway, from source: String, _ bytes: [UInt8]) async {
        try? await connect(to: gateway.address, from: source).executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: bytes))
            _ = await readAll(inbound)
        }
    }

    @Test(.timeLimit(.minutes(10))) func othersDoNotNoticeHostileClients() async throws {
        let (begin, log) = (NIODeadline.now(), InMemoryLogHandler())
        var logger = Logger(label: "test") { _ in log }
        logger.logLevel = .trace
        let tracing = logger
        let (hello, unknown) = (try clientHello("a.test"), try clientHello("b.test"))
        let message = hello + [UInt8](repeating: 7, count: 200_000)
        try await withServer(handle: echo) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            func change(_ configuration: inout CloudGateway.Configuration) {
                configuration.limits.connectionsPerAddress = 8
                configuration.limits.newPerSecondAndAddress = 1
                configuration.limits.burstPerAddress = 50
                configuration.helloLimit = .seconds(3600)
            }
            try await withGateway(text, logger: tracing, change) { gateway in
                for _ in 0..<10 { await knock(gateway, from: "127.0.0.2", Array("GET / HTTP/1.1\r\n\r\n".utf8)) }
                try await eventually { gateway.gateway.connectionCount == 0 }
                // As many as the address may have, each with half a hello.
                let half = hello.count / 2
                let slow = try await slowClients(8, gateway, ByteBuffer(bytes: hello[..<half]))
                for _ in 0..<10 { await knock(gateway, from: "127.0.0.2", hello) }
                let isDone = NIOLockedValueBox(false)
                try await withThrowingTaskGroup(of: Int.self) { group in
                    group.addTask {
                        var attempts = 0
                        while !Task.isCancelled,
                            !isDone.withLockedValue({ $0 }) || (refused(gateway, .rate) ?? 0) < 50
                        {
                            await knock(gateway, from: "127.0.0.3", unknown)
                            attempts += 1
                        }
                        return attempts
                    }
                    for place in half..<half + 20 {
                        for channel in slow { try await channel.writeAndFlush(ByteBuffer(bytes: [hello[place]])) }
                        let answer = try await exchange(message, connect(to: gateway.address, from: "127.0.0.1"))
                        #expect(answer == message)
                    }
                    isDone.withLockedValue { $0 = true }
                    let attempts = try #require(try await group.next())
                    // Each attempt is counted once.
                    let hellos = [HelloRefusal.unknownName, .notTLS].map { closed(gateway, $0) ?? 0 }
                    let limits = [AdmissionRefusal.rate, .address].map { refused(gateway, $0) ?? 0 }
                    #expect(hellos[0] > 0 && hellos[1] == 10 && limits[0] >= 50 && limits[1] >= 10)
                    #expect((hellos + limits).reduce(0, +) == Double(attempts + 20))
                }
                #expect(slow.allSatisfy { $0.isActive })
                try await eventually { gateway.metric("hawser_relay_connections_relaying") == 0 }
                #expect(gateway.metric("hawser_relay_connections_ended_total{reason=\"ended\"}") == 20)
                for channel in slow { try await channel.close() }
            }
        }
        // Five of a kind in ten seconds.
        let most = 5 * (1 + Int((NIODeadline.now() - begin).nanoseconds / 10_000_000_000))
        let kinds = Dictionary(grouping: log.entries) { "\($0.message) \($0.metadata["reason"] ?? "")" }.mapValues(
            \.count
        )
        #expect(kinds.allSatisfy { $0.value <= most }, "\(kinds)")
        for reason in ["not_tls", "unknown_name", "address_limit", "address_rate"] {
            #expect(kinds.contains { $0.key.hasSuffix(" \(reason)") }, "\(reason)")
        }
    }

    /// That have sent so much, and are all let in.
    private func slowClients(
        _ count: Int,
        _ gateway: RunningGateway,
        _ bytes: ByteBuffer
    ) async throws -> [any Channel] {
        var channels: [any Channel] = []
        for count in 1...count {
            let channel = try await ClientBootstrap(group: eventLoops)
                .bind(to: try SocketAddress(ipAddress: "127.0.0.2", port: 0))
                .connect(to: gateway.address).get()
            try await channel.writeAndFlush(bytes)
            try await eventually { gateway.gateway.connectionCount == count }
            channels.append(channel)
        }
        return channels
    }

    @Test func silentClientIsClosed() async throws {
        func change(_ configuration: inout CloudGateway.Configuration) { configuration.helloLimit = .milliseconds(50) }
        try await withGateway(nowhere, change) { gateway in
            let isClosed = try await isClosedAtOnce(gateway)
            #expect(isClosed)
            try await eventually { closed(gateway, .timeout) == 1 }
        }
    }

    @Test func reloadedRoutesHoldForNewConnections() async throws {
        let hello = try clientHello("b.test")
        try await withServer(handle: echo) { server in
            try await withGateway(nowhere) { gateway in
                gateway.gateway.reload { try routes("routes: 1") }
                #expect(gateway.metric("hawser_relay_reloads_total{result=\"refused\"}") == 1)
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello))
                    #expect(await readAll(inbound).isEmpty)
                }
                gateway.gateway.reload {
                    try routes("routes: [{names: [b.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]")
                }
                #expect(gateway.metric("hawser_relay_reloads_total{result=\"ok\"}") == 1)
                #expect(gateway.metric("hawser_relay_backend_healthy{backend=\"127.0.0.1:1\"}") == nil)
                let answer = try await exchange(hello, connect(to: gateway.address))
                #expect(answer == hello)
            }
        }
    }

    @Test func addressInUseIsAnError() async throws {
        try await withServer(handle: echo) { server in
            func change(_ configuration: inout CloudGateway.Configuration) { configuration.addresses = [server] }
            let error = await #expect(throws: HawserError.self) {
                try await withGateway(nowhere, change) { _ in }
            }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func allEventLoopsAccept() async throws {
        func change(_ configuration: inout CloudGateway.Configuration) {
            configuration.limits.connectionsPerAddress = 64
        }
        try await withGateway(nowhere, change) { gateway in
            var streams: [HawserGatewayTests.Stream] = []
            for _ in 0..<64 { streams.append(try await connect(to: gateway.address)) }
            try await eventually { gateway.gateway.connectionCount == 64 }
            let used = Set(gateway.gateway.openChannels.map { ObjectIdentifier($0.eventLoop) })
            // The kernel chooses by the client's port: that 64 go to one of several has no chance worth a word.
            #expect(used.count > 1 || Array(eventLoops.makeIterator()).count == 1)
            // The port is the gateway's only.
            let error = await #expect(throws: HawserError.self) {
                try await withGateway(nowhere) {
                    $0.addresses = [gateway.address]
                } _: { _ in
                }
            }
            #expect(error?.code == .unavailable)
            for stream in streams { try await stream.executeThenClose { _, _ in } }
        }
    }

    /// Runs a gateway in a service group that is shut down gracefully, and returns when it has ended.
    private func stop(
        drain: Duration,
        _ body: @escaping @Sendable (CloudGateway, SocketAddress, () async -> Void) async throws -> Void
    ) async throws {
        try await withServer(handle: echo) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            let (listening, continuation) = AsyncStream.makeStream(of: [SocketAddress].self)
            let gateway = CloudGateway(
                .init(addresses: [try SocketAddress(ipAddress: "127.0.0.1", port: 0)], drainLimit: drain),
                routes: try routes(text),
                group: eventLoops,
                logger: silentLogger,
                onListening: { continuation.yield($0) }
            )
            let services = ServiceGroup(
                configuration: .init(services: [.init(service: gateway)], logger: silentLogger)
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await services.run() }
                let address = try #require(await listening.first { _ in true }?.first)
                #expect(gateway.isReady)
                try await body(gateway, address) { await services.triggerGracefulShutdown() }
                try? await group.waitForAll()
            }
            #expect(gateway.connectionCount == 0)
            #expect(!gateway.isReady)
        }
    }

    @Test func gracefulStopLetsConnectionsEnd() async throws {
        let hello = try clientHello("a.test")
        try await stop(drain: .seconds(600)) { gateway, address, shutDown in
            try await connect(to: address).executeThenClose { inbound, outbound in
                var parts = inbound.makeAsyncIterator()
                try await outbound.write(ByteBuffer(bytes: hello))
                _ = try await parts.next()
                await shutDown()
                try await eventually { !gateway.isReady }
                await #expect(throws: (any Error).self) {
                    // Nobody listens any more; what was in the backlog is reset.
                    try await eventually {
                        try await connect(to: address).executeThenClose { inbound, _ in _ = await readAll(inbound) }
                        return false
                    }
                }
                // What is open goes on.
                try await outbound.write(ByteBuffer(bytes: [1, 2, 3]))
                #expect(try await parts.next() == ByteBuffer(bytes: [1, 2, 3]))
                #expect(gateway.connectionCount == 1)
            }
        }
    }

    @Test func gracefulStopEndsAfterItsTime() async throws {
        let hello = try clientHello("a.test")
        try await stop(drain: .milliseconds(100)) { _, address, shutDown in
            try await connect(to: address).executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(bytes: hello))
                await shutDown()
                // Ends although the client doesn't.
                _ = await readAll(inbound)
            }
        }
    }

    @Test func cancellationEndsAtOnce() async throws {
        let hello = try clientHello("a.test")
        try await withServer(handle: echo) { server in
            let text = "routes: [{names: [a.test], backends: [\"\(server.forLog)\"], proxy-protocol: false}]"
            func change(_ configuration: inout CloudGateway.Configuration) { configuration.drainLimit = .seconds(600) }
            try await withGateway(text, change) { gateway in
                try await connect(to: gateway.address).executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(bytes: hello))
                    var parts = inbound.makeAsyncIterator()
                    _ = try await parts.next()
                    gateway.task.cancel()
                    try await gateway.task.value
                    #expect(gateway.gateway.connectionCount == 0)
                }
            }
        }
    }
}
