public import NIOCore

/// The header that a relay puts before a connection's bytes so that the server learns who connected: PROXY protocol,
/// version 2 (haproxy.org/download/3.2/doc/proxy-protocol.txt, section 2.2).
public struct ProxyProtocolHeader: Hashable, Sendable {
    /// Who connected to the relay, and where; `nil` when the relay speaks for itself (`LOCAL`, as health checks do) or
    /// doesn't know.
    public var addresses: Addresses?

    public struct Addresses: Hashable, Sendable {
        public var source: SocketAddress
        public var destination: SocketAddress

        public init(source: SocketAddress, destination: SocketAddress) {
            self.source = source
            self.destination = destination
        }
    }

    public init(addresses: Addresses?) {
        self.addresses = addresses
    }

    /// Why bytes are not a header that is accepted.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// Short and stable: a label of metrics.
        public let description: String
        init(_ description: String) { self.description = description }

        /// Other bytes than the header's first twelve: a plain connection, or version 1.
        public static let noHeader = Refusal("no_header")
        /// A version, command or family that is not known, or not TCP.
        public static let unsupported = Refusal("unsupported")
        /// Longer than ``ProxyProtocolHeader/maximumLength``, or too short for its addresses.
        public static let badLength = Refusal("bad_length")
    }

    static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
    /// Of the part behind the first 16 bytes. Addresses take 36; the rest leaves room for what proxies add (a server's name
    /// of up to 255 bytes, identifiers, checksums), and bounds what a connection can make the server hold.
    public static let maximumLength = 2048
}

extension ByteBuffer {
    /// Appends the header: 28 bytes for IPv4, 52 for IPv6, 16 without addresses.
    ///
    /// When only one of the two addresses is IPv6 (which a socket for both kinds never shows), the other one is written in
    /// its mapped form.
    public mutating func writeProxyProtocolHeader(_ header: ProxyProtocolHeader) {
        writeBytes(ProxyProtocolHeader.signature)
        guard let addresses = header.addresses, let source = IPAddress(addresses.source),
            let destination = IPAddress(addresses.destination)
        else {
            // Version 2, LOCAL; no family; no addresses.
            writeInteger(0x2000_0000 as UInt32)
            return
        }
        // Version 2, PROXY.
        writeInteger(0x21 as UInt8)
        if case .v4(let from) = source, case .v4(let to) = destination {
            writeMultipleIntegers(0x11 as UInt8, 12 as UInt16, from, to)
        } else {
            writeMultipleIntegers(0x21 as UInt8, 36 as UInt16)
            for address in [source, destination] {
                switch address {
                case .v4(let number): writeMultipleIntegers(0 as UInt64, 0xffff_0000_0000 | UInt64(number))
                case .v6(let high, let low): writeMultipleIntegers(high, low)
                }
            }
        }
        writeInteger(UInt16(truncatingIfNeeded: addresses.source.port ?? 0))
        writeInteger(UInt16(truncatingIfNeeded: addresses.destination.port ?? 0))
    }

    /// Takes a header from the front; `nil` when more bytes are needed, with nothing taken.
    ///
    /// - Throws: ``ProxyProtocolHeader/Refusal``, as soon as the bytes that are there can't become a header.
    public mutating func readProxyProtocolHeader() throws -> ProxyProtocolHeader? {
        let signature = ProxyProtocolHeader.signature
        let begin = readableBytesView.prefix(signature.count)
        guard begin.elementsEqual(signature.prefix(begin.count)) else { throw ProxyProtocolHeader.Refusal.noHeader }
        guard let command = getInteger(at: readerIndex + 12, as: UInt8.self) else { return nil }
        guard command == 0x20 || command == 0x21 else { throw ProxyProtocolHeader.Refusal.unsupported }
        guard let family = getInteger(at: readerIndex + 13, as: UInt8.self),
            let length = getInteger(at: readerIndex + 14, as: UInt16.self)
        else { return nil }
        guard length <= ProxyProtocolHeader.maximumLength else { throw ProxyProtocolHeader.Refusal.badLength }
        let isLocal = command == 0x20
        // What a LOCAL header has behind its length is to be skipped, whatever it is.
        let needed: UInt16
        switch family {
        case _ where isLocal: needed = 0
        case 0x00: needed = 0
        case 0x11: needed = 12
        case 0x21: needed = 36
        default: throw ProxyProtocolHeader.Refusal.unsupported
        }
        guard length >= needed else { throw ProxyProtocolHeader.Refusal.badLength }
        guard readableBytes >= 16 + Int(length) else { return nil }
        moveReaderIndex(forwardBy: 16)
        guard var body = readSlice(length: Int(length)), needed > 0 else { return ProxyProtocolHeader(addresses: nil) }
        return ProxyProtocolHeader(addresses: needed == 12 ? body.readAddresses4() : body.readAddresses6())
    }

    private mutating func readAddresses4() -> ProxyProtocolHeader.Addresses? {
        guard let (from, to, fromPort, toPort) = readMultipleIntegers(as: (UInt32, UInt32, UInt16, UInt16).self) else {
            return nil
        }
        return .init(.v4(from), fromPort, .v4(to), toPort)
    }

    private mutating func readAddresses6() -> ProxyProtocolHeader.Addresses? {
        guard
            let (fromHigh, fromLow, toHigh, toLow, fromPort, toPort) =
                readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64, UInt16, UInt16).self)
        else { return nil }
        return .init(IPAddress(high: fromHigh, low: fromLow), fromPort, IPAddress(high: toHigh, low: toLow), toPort)
    }
}

extension ProxyProtocolHeader.Addresses {
    fileprivate init?(_ from: IPAddress, _ fromPort: UInt16, _ to: IPAddress, _ toPort: UInt16) {
        guard let source = try? SocketAddress(from, port: fromPort),
            let destination = try? SocketAddress(to, port: toPort)
        else { return nil }
        self.init(source: source, destination: destination)
    }
}
