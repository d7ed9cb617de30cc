import HawserNetwork
import HawserTesting
import NIOCore
import Testing

struct ProxyProtocolHeaderTests {
    static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

    static func bytes(_ source: String, _ sourcePort: Int, _ to: String, _ toPort: Int) throws -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeProxyProtocolHeader(
            .init(
                addresses: .init(
                    source: try SocketAddress(ipAddress: source, port: sourcePort),
                    destination: try SocketAddress(ipAddress: to, port: toPort)
                )
            )
        )
        return Array(buffer.readableBytesView)
    }

    @Test func version4() throws {
        let bytes = try Self.bytes("192.0.2.1", 0x1234, "198.51.100.2", 6180)
        #expect(bytes == Self.signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x18, 0x24])
    }

    @Test func version6() throws {
        let bytes = try Self.bytes("2001:db8::1", 1, "2001:db8::2", 2)
        let address: [UInt8] = [0x20, 0x01, 0x0d, 0xb8] + Array(repeating: 0, count: 11)
        #expect(bytes == Self.signature + [0x21, 0x21, 0, 36] + address + [1] + address + [2, 0, 1, 0, 2])
    }

    @Test func mappedAddressesAreWrittenAsVersion4() throws {
        #expect(
            try Self.bytes("::ffff:192.0.2.1", 5, "::ffff:198.51.100.2", 6)
                == Self.bytes("192.0.2.1", 5, "198.51.100.2", 6)
        )
    }

    @Test(arguments: [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2"), ("192.0.2.1", "2001:db8::2")])
    func readsWhatItWrote(source: String, destination: String) throws {
        let header = ProxyProtocolHeader(
            addresses: .init(
                source: try SocketAddress(ipAddress: source, port: 65535),
                destination: try SocketAddress(ipAddress: destination, port: 1)
            )
        )
        var buffer = ByteBuffer()
        buffer.writeProxyProtocolHeader(header)
        buffer.writeString("rest")
        #expect(try buffer.readProxyProtocolHeader() == header)
        #expect(buffer.readString(length: 4) == "rest")
    }

    @Test func localHasNoAddresses() throws {
        var buffer = ByteBuffer()
        buffer.writeProxyProtocolHeader(.init(addresses: nil))
        #expect(Array(buffer.readableBytesView) == Self.signature + [0x20, 0, 0, 0])
        #expect(try buffer.readProxyProtocolHeader() == .init(addresses: nil))
        #expect(buffer.readableBytes == 0)
    }

    @Test func whatFollowsTheAddressesIsSkipped() throws {
        // A checksum (0x03) and a server name (0x02), as other proxies add them.
        let more: [UInt8] = [0x03, 0, 4, 1, 2, 3, 4, 0x02, 0, 2, 0x61, 0x62]
        var bytes = try Self.bytes("192.0.2.1", 1, "192.0.2.2", 2)
        bytes[15] += UInt8(more.count)
        var buffer = ByteBuffer(bytes: bytes + more + [9])
        let header = try buffer.readProxyProtocolHeader()
        #expect(header?.addresses?.source == (try SocketAddress(ipAddress: "192.0.2.1", port: 1)))
        #expect(buffer.readableBytesView.elementsEqual([9]))
    }

    @Test func everyPrefixAsksForMore() throws {
        let bytes = try Self.bytes("2001:db8::1", 1, "2001:db8::2", 2)
        for count in 0..<bytes.count {
            var buffer = ByteBuffer(bytes: bytes.prefix(count))
            #expect(try buffer.readProxyProtocolHeader() == nil, "\(count)")
            #expect(buffer.readableBytes == count)
        }
    }

    @Test(
        arguments: [
            ([0x16, 0x03, 0x01], "no_header"),
            (Array("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".utf8), "no_header"),
            ([0x0d, 0x0a, 0x0d, 0x0b], "no_header"),
            (signature + [0x11], "unsupported"), (signature + [0x22], "unsupported"),
            (signature + [0x31], "unsupported"),
            // UDP, and a Unix domain socket.
            (signature + [0x21, 0x12, 0, 12], "unsupported"), (signature + [0x21, 0x31, 0, 216], "unsupported"),
            (signature + [0x21, 0x11, 0, 11], "bad_length"), (signature + [0x21, 0x21, 0, 35], "bad_length"),
            (signature + [0x21, 0x11, 0xff, 0xff], "bad_length"), (signature + [0x20, 0x00, 0x08, 0x01], "bad_length"),
        ] as [([UInt8], String)]
    )
    func refusesAsSoonAsItCan(bytes: [UInt8], reason: String) {
        var buffer = ByteBuffer(bytes: bytes)
        #expect(throws: ProxyProtocolHeader.Refusal.self) { _ = try buffer.readProxyProtocolHeader() }
        buffer = ByteBuffer(bytes: bytes)
        do { _ = try buffer.readProxyProtocolHeader() } catch { #expect("\(error)" == reason) }
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func damagedHeadersNeverCrash(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let good = try Self.bytes("2001:db8::1", 1, "2001:db8::2", 2)
        for _ in 0..<2000 {
            var bytes = good + Array(repeating: 0, count: Int(generator.next() % 64))
            for _ in 0...(generator.next() % 4) {
                bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
            }
            var buffer = ByteBuffer(bytes: bytes.prefix(Int(generator.next() % UInt64(bytes.count + 1))))
            let before = buffer.readableBytes
            let header = try? buffer.readProxyProtocolHeader()
            #expect(header == nil || buffer.readableBytes <= before - 16, "seed \(seed)")
        }
    }
}
