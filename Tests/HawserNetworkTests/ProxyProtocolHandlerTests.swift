import HawserNetwork
import HawserTesting
import NIOCore
import NIOEmbedded
import Testing

struct ProxyProtocolHandlerTests {
    /// A server's connection from `peer`, with relays in 10.0.0.0/8 and fd00::/8.
    final class Server {
        let channel = EmbeddedChannel()
        private(set) var outcomes: [ProxyProtocolHandler.Outcome] = []

        init(peer: String, port: Int = 555) throws {
            let relays = [AddressBlock("10.0.0.0/8"), AddressBlock("fd00::/8")].compactMap { $0 }
            channel.remoteAddress = try SocketAddress(ipAddress: peer, port: port)
            try channel.pipeline.syncOperations.addHandler(
                ProxyProtocolHandler(relays: relays) { [unowned self] outcome, _ in outcomes.append(outcome) }
            )
            // As if it were accepted: active from now on.
            channel.connect(to: try SocketAddress(ipAddress: peer, port: port), promise: nil)
        }

        func send(_ bytes: some Sequence<UInt8>) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

        /// What TLS would have got.
        func passedOn() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readInbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            return bytes
        }

        var hasLeft: Bool {
            (try? channel.pipeline.syncOperations.handler(type: ProxyProtocolHandler.self)) == nil
        }
    }

    let header: [UInt8]
    let tenant: SocketAddress

    init() throws {
        header = try ProxyProtocolHeaderTests.bytes("203.0.113.5", 4711, "198.51.100.1", 6180)
        tenant = try SocketAddress(ipAddress: "203.0.113.5", port: 4711)
    }

    @Test func relayTellsTheTenantsAddress() throws {
        let server = try Server(peer: "10.1.2.3")
        #expect(server.outcomes.isEmpty)
        try server.send(header + [22, 3, 1])
        let relay = try SocketAddress(ipAddress: "10.1.2.3", port: 555)
        #expect(server.outcomes == [.client(tenant, relay: relay)])
        #expect(try server.passedOn() == [22, 3, 1])
        #expect(server.hasLeft)
        try server.send([4, 5])
        #expect(try server.passedOn() == [4, 5])
    }

    @Test func relayIsKnownByItsMappedAddress() throws {
        let server = try Server(peer: "::ffff:10.1.2.3")
        try server.send(header)
        #expect(server.outcomes == [.client(tenant, relay: try SocketAddress(ipAddress: "10.1.2.3", port: 555))])
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func headerInPieces(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let server = try Server(peer: "fd00::1")
        let hello: [UInt8] = [22, 3, 1, 0, 5]
        var rest = (header + hello)[...]
        while !rest.isEmpty {
            let count = min(rest.count, 1 + Int(generator.next() % 5))
            try server.send(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        #expect(server.outcomes == [.client(tenant, relay: try SocketAddress(ipAddress: "fd00::1", port: 555))])
        #expect(try server.passedOn() == hello, "seed \(seed)")
    }

    @Test func relaysOwnConnectionHasTheRelaysAddress() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send(ProxyProtocolHeaderTests.signature + [0x20, 0, 0, 0])
        let relay = try SocketAddress(ipAddress: "10.1.2.3", port: 555)
        #expect(server.outcomes == [.client(relay, relay: relay)])
    }

    @Test func plainConnectionOfARelayIsRefusedAtItsFirstByte() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send([22])
        #expect(server.outcomes == [.refused("no_header")])
        #expect(try server.passedOn().isEmpty)
        #expect(!server.channel.isActive)
    }

    @Test func othersAreTakenAsTheyAre() throws {
        let server = try Server(peer: "192.0.2.1", port: 99)
        #expect(server.outcomes == [.client(try SocketAddress(ipAddress: "192.0.2.1", port: 99), relay: nil)])
        #expect(server.hasLeft)
        // To TLS that is garbage; its address is not believed.
        try server.send(header)
        #expect(try server.passedOn() == header)
    }

    @Test func headerTooLong() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send(ProxyProtocolHeaderTests.signature + [0x21, 0x11, 0x10, 0x00])
        #expect(server.outcomes == [.refused("bad_length")])
        #expect(!server.channel.isActive)
    }

    @Test func headerThatNeverEnds() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send(header.prefix(20))
        server.channel.embeddedEventLoop.advanceTime(by: .milliseconds(4999))
        #expect(server.outcomes.isEmpty)
        server.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(server.outcomes == [.refused("timeout")])
        #expect(!server.channel.isActive)
    }

    @Test func endInTheMiddleOfTheHeader() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send(header.prefix(20))
        server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.outcomes == [.ended])
        #expect(!server.channel.isActive)
        #expect(try server.passedOn().isEmpty)
    }

    @Test func noTimeLimitAfterTheHeader() throws {
        let server = try Server(peer: "10.1.2.3")
        try server.send(header)
        server.channel.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(server.channel.isActive)
        #expect(server.outcomes.count == 1)
    }
}
