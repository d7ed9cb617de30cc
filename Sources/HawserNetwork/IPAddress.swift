public import NIOCore

/// An address without a port, for tables and comparisons.
///
/// An IPv4 address that a socket for both kinds shows as `::ffff:192.0.2.1` is the IPv4 address here (RFC 4291, 2.5.5.2), so
/// that a rule holds however the server listens.
public enum IPAddress: Hashable, Sendable {
    /// In the machine's byte order.
    case v4(UInt32)
    /// In the machine's byte order.
    case v6(high: UInt64, low: UInt64)

    /// `nil` for a Unix domain socket.
    public init?(_ address: SocketAddress) {
        // By offsets: the fields of `sockaddr_in` and `sockaddr_in6` belong to a module of NIO's own, which can't be imported.
        let found: IPAddress? = address.withSockAddr { pointer, size in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            switch address {
            case .v4 where size >= 8:
                return .v4(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
            case .v6 where size >= 24:
                return IPAddress(
                    high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                )
            default: return nil
            }
        }
        guard let found else { return nil }
        self = found
    }

    /// `192.0.2.1` or `2001:db8::1`, without brackets, port or zone.
    public init?(_ text: some StringProtocol) {
        // inet_pton would stop at a zero byte and take what stands before it.
        guard text.utf8.count <= 45, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "%") }),
            let address = try? SocketAddress(ipAddress: String(text), port: 0)
        else { return nil }
        self.init(address)
    }

    public init(high: UInt64, low: UInt64) {
        self = high == 0 && low >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
    }

    /// What one subscriber has: the address itself, and of IPv6 its /64, since each host can choose among 2^64 there.
    public var subscriber: IPAddress {
        switch self {
        case .v4: self
        case .v6(let high, _): .v6(high: high, low: 0)
        }
    }
}

extension IPAddress: CustomStringConvertible {
    /// As people write it.
    public var description: String { (try? SocketAddress(self, port: 0))?.ipAddress ?? "" }
}

extension SocketAddress {
    init(_ address: IPAddress, port: UInt16) throws {
        var bytes = ByteBuffer()
        switch address {
        case .v4(let number): bytes.writeInteger(number)
        case .v6(let high, let low): bytes.writeMultipleIntegers(high, low)
        }
        try self.init(packedIPAddress: bytes, port: Int(port))
    }

    /// The same address as IPv4 when it is one that is written as IPv6 (`::ffff:192.0.2.1`); otherwise unchanged.
    public var unmapped: SocketAddress {
        guard case .v6 = self, let address = IPAddress(self), case .v4 = address else { return self }
        return (try? SocketAddress(address, port: UInt16(truncatingIfNeeded: port ?? 0))) ?? self
    }
}
