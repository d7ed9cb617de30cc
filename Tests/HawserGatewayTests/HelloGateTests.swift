import Glibc
import HawserNetwork
import HawserTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import HawserGateway

struct HelloGateTests {
    @Test func helloReachesTheBackendBehindTheProxyHeader() throws {
        let gate = try Gate()
        let hello = try clientHello("control.test")
        try gate.send(hello)
        #expect(gate.dialled.count == 1)
        let backend = try gate.connectBackend()
        var bytes = ByteBuffer(bytes: try written(backend))
        let header = try #require(try bytes.readProxyProtocolHeader()?.addresses)
        #expect(header.source == gate.client.remoteAddress)
        #expect(header.destination == gate.client.localAddress)
        #expect(Array(bytes.readableBytesView) == hello)
        #expect(gate.allRefused == 0)
        #expect(metric(gate.registry, "hawser_relay_connections_relaying") == 1)
        // Nothing of the first part is left.
        #expect((try? gate.client.pipeline.syncOperations.handler(type: HelloGate.self)) == nil)
    }

    @Test func proxyHeaderOfIPv6() throws {
        let gate = try Gate(peer: "2001:db8::1")
        try gate.send(try clientHello("control.test"))
        var bytes = ByteBuffer(bytes: try written(try gate.connectBackend()))
        #expect(bytes.readableBytes > 52)
        #expect(try bytes.readProxyProtocolHeader()?.addresses?.source == gate.client.remoteAddress)
    }

    @Test func routeWithoutProxyHeader() throws {
        let gate = try Gate("routes: [{names: [\"*.test\"], backends: [\"a:1\"], proxy-protocol: false}]")
        let hello = try clientHello("Any.TEST")
        try gate.send(hello)
        #expect(gate.dialled == ["a:1"])
        #expect(try written(try gate.connectBackend()) == hello)
    }

    @Test func bothDirectionsAreRelayed() throws {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        let backend = try gate.connectBackend()
        _ = try written(backend)
        try backend.writeInbound(ByteBuffer(bytes: [1, 2]))
        #expect(try written(gate.client) == [1, 2])
        try gate.send([3])
        #expect(try written(backend) == [3])
        #expect(metric(gate.registry, "hawser_relay_bytes_total{direction=\"to_client\"}") == 2)
    }

    @Test(arguments: 0..<25 as Range<UInt64>)
    func randomPieces(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let gate = try Gate()
        let hello = try clientHello("control.test")
        let data = (0..<100).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        let longest = [1, 3, 50, 1000][Int(seed % 4)]
        var rest = (hello + data)[...]
        var sent: [UInt8] = []
        while sent.count < hello.count {
            let piece = rest.prefix(1 + Int(generator.next() % UInt64(longest)))
            rest = rest.dropFirst(piece.count)
            sent += piece
            try gate.send(piece)
            #expect(gate.dialled.count == (sent.count >= hello.count ? 1 : 0), "seed \(seed)")
        }
        let backend = try gate.connectBackend()
        if !rest.isEmpty { try gate.send(rest) }
        #expect(try written(backend).suffix(hello.count + 100) == (hello + data)[...], "seed \(seed)")
    }

    /// Damaged hellos are refused, or relayed as they are, and never crash.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func damagedHellos(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let good = try clientHello("control.test")
        for _ in 0..<20 {
            let gate = try Gate()
            var bytes = good
            for _ in 0...(generator.next() % 6) {
                // Rather at the front, where lengths are.
                let bound = generator.next() % 2 == 0 ? 60 : UInt64(bytes.count)
                bytes[Int(generator.next() % bound)] = UInt8(truncatingIfNeeded: generator.next())
            }
            bytes.removeLast(Int(generator.next() % 3) * Int(generator.next() % 20))
            var rest = bytes[...]
            while !rest.isEmpty, gate.client.isActive {
                let piece = rest.prefix(1 + Int(generator.next() % 200))
                rest = rest.dropFirst(piece.count)
                try gate.send(piece)
            }
            if !gate.dialled.isEmpty {
                #expect(try written(try gate.connectBackend()).suffix(bytes.count) == bytes[...], "seed \(seed)")
            } else {
                gate.loop.advanceTime(by: .seconds(5))
                #expect(!gate.client.isActive && gate.allRefused == 1, "seed \(seed)")
            }
        }
    }

    @Test func nothingIsReadWhileTheBackendIsDialled() throws {
        let gate = try Gate()
        #expect(gate.reads.count == 1)
        let hello = try clientHello("control.test")
        try gate.send(hello.prefix(100))
        #expect(gate.reads.count == 2)
        try gate.send(hello.dropFirst(100))
        #expect(gate.reads.count == 2)
        _ = try gate.connectBackend()
        #expect(gate.reads.count == 3)
    }

    // MARK: Refusals

    @Test func unknownName() throws {
        let gate = try Gate()
        try gate.send(try clientHello("other.test"))
        #expect(gate.dialled.isEmpty)
        #expect(gate.refused(.unknownName) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func noName() throws {
        let gate = try Gate()
        try gate.send(try clientHello(nil))
        #expect(gate.refused(.noName) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func nameThatIsNone() throws {
        let gate = try Gate()
        var hello = try clientHello("control.test")
        let place = try #require(hello.firstRange(of: Array("control".utf8)))
        hello.replaceSubrange(place, with: Array("co\u{1b}[31m".utf8.prefix(7)))
        try gate.send(hello)
        #expect(gate.refused(.unknownName) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func splitOverTwoRecordsIsRefused() throws {
        let gate = try Gate()
        let hello = try clientHello("control.test")
        let body = hello.dropFirst(5)
        func record(_ part: some Collection<UInt8>) -> [UInt8] {
            [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 0xff)] + part
        }
        try gate.send(record(body.prefix(60)) + record(body.dropFirst(60)))
        #expect(gate.refused(.noName) == 1)
        #expect(!gate.client.isActive)
    }

    @Test(arguments: [
        Array("GET / HTTP/1.1\r\n".utf8), [0], [22, 2], Array("SSH-2.0-OpenSSH\r\n".utf8), [21, 3, 1, 0, 2, 2, 70],
        // SSL 2.0.
        [0x80, 0x2e, 1, 0, 2],
    ])
    func garbageIsRefusedAtItsFirstBytes(bytes: [UInt8]) throws {
        let gate = try Gate()
        try gate.send(bytes)
        #expect(gate.refused(.notTLS) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func proxyHeaderOfAClientIsGarbage() throws {
        let gate = try Gate()
        var header = ByteBuffer()
        header.writeProxyProtocolHeader(.init(addresses: nil))
        try gate.send(header.readableBytesView)
        #expect(gate.refused(.notTLS) == 1)
    }

    @Test func largestHelloIsTaken() throws {
        let gate = try Gate()
        try gate.send(try padded(try clientHello("control.test"), to: 16 * 1024))
        #expect(gate.dialled.count == 1)
    }

    @Test func largerHelloIsRefusedAtItsHeader() throws {
        let gate = try Gate()
        let hello = try padded(try clientHello("control.test"), to: 16 * 1024 + 1)
        try gate.send(hello.prefix(5))
        #expect(gate.refused(.tooLarge) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func floodWhileTheBackendIsDialledIsBounded() throws {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        // As NIO drains the kernel when a client closes.
        let piece = [UInt8](repeating: 0, count: 8192)
        var count = 0
        while gate.client.isActive, count < 100 {
            try gate.send(piece)
            count += 1
        }
        #expect(gate.refused(.tooLarge) == 1)
        #expect(count * piece.count <= HelloState.totalLimit + piece.count)
    }

    @Test func slowHelloIsRefusedAfterFiveSeconds() throws {
        let gate = try Gate()
        for byte in try clientHello("control.test").prefix(49) {
            try gate.send([byte])
            gate.loop.advanceTime(by: .milliseconds(100))
            #expect(gate.client.isActive)
        }
        gate.loop.advanceTime(by: .milliseconds(99))
        #expect(gate.client.isActive)
        gate.loop.advanceTime(by: .milliseconds(1))
        #expect(gate.refused(.timeout) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func clientThatLeavesIsCountedOnce() throws {
        let gate = try Gate()
        try gate.send([22, 3])
        gate.client.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(gate.refused(.ended) == 1)
        #expect(!gate.client.isActive)
        gate.loop.advanceTime(by: .seconds(10))
        #expect(gate.allRefused == 1)
    }

    // MARK: Backends

    @Test func deadBackendIsReplacedByTheOther() throws {
        let gate = try Gate()
        let hello = try clientHello("control.test")
        try gate.send(hello)
        gate.failBackend()
        #expect(Set(gate.dialled) == ["10.0.0.1:1", "10.0.0.2:1"])
        let backend = try gate.connectBackend()
        #expect(try written(backend).suffix(hello.count) == hello[...])
        let aside = gate.dialled[0]
        #expect(metric(gate.registry, "hawser_relay_backend_healthy{backend=\"\(aside)\"}") == 0)
        #expect(metric(gate.registry, "hawser_relay_backend_connections{backend=\"\(aside)\"}") == 0)
        #expect(metric(gate.registry, "hawser_relay_backend_connects_total{result=\"failed\"}") == 1)
    }

    @Test func allDead() throws {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        gate.failBackend()
        gate.failBackend(ChannelError.connectTimeout(.seconds(5)))
        #expect(gate.refused(.noBackend) == 1)
        #expect(!gate.client.isActive)
    }

    @Test func attemptsAreLimited() throws {
        let gate = try Gate(
            "routes: [{names: [control.test], backends: [\"a:1\", \"b:1\", \"c:1\", \"d:1\"]}]"
        )
        try gate.send(try clientHello("control.test"))
        for _ in 0..<3 { gate.failBackend() }
        #expect(gate.dialled.count == 3)
        #expect(gate.refused(.noBackend) == 1)
    }

    @Test(arguments: [EMFILE, ENFILE, ENOMEM, EADDRNOTAVAIL])
    func noBackendIsBlamedForOurOwnLimits(code: CInt) throws {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        gate.failBackend(IOError(errnoCode: code, reason: "socket"))
        #expect(gate.dialled.count == 1)
        #expect(gate.refused(.noResources) == 1)
        #expect(metric(gate.registry, "hawser_relay_backend_healthy{backend=\"\(gate.dialled[0])\"}") == 1)
        #expect(metric(gate.registry, "hawser_relay_backend_connections{backend=\"\(gate.dialled[0])\"}") == 0)
    }

    @Test func clientThatLeavesWhileTheBackendIsDialled() throws {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        gate.client.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        let backend = try gate.connectBackend()
        #expect(!backend.isActive)
        #expect(try written(backend).isEmpty)
        #expect(metric(gate.registry, "hawser_relay_backend_connections{backend=\"\(gate.dialled[0])\"}") == 0)
        #expect(gate.allRefused == 1)
    }

    /// With an extension of zeros (padding, RFC 7685), so that the record's content has the length.
    private func padded(_ hello: [UInt8], to length: Int) throws -> [UInt8] {
        var content = Array(hello.dropFirst(5))
        let added = length - content.count - 4
        content += [0, 21, UInt8(added >> 8), UInt8(added & 0xff)] + [UInt8](repeating: 0, count: added)
        let body = content.count - 4
        content.replaceSubrange(1..<4, with: [UInt8(body >> 16), UInt8(body >> 8 & 0xff), UInt8(body & 0xff)])
        // Version 2, random 32, session, suites, compression; then the extensions' length.
        var place = 4 + 34
        place += 1 + Int(content[place])
        place += 2 + Int(content[place]) << 8 + Int(content[place + 1])
        place += 1 + Int(content[place])
        let extensions = content.count - place - 2
        content.replaceSubrange(place..<place + 2, with: [UInt8(extensions >> 8), UInt8(extensions & 0xff)])
        return [22, 3, 1, UInt8(content.count >> 8), UInt8(content.count & 0xff)] + content
    }
}
