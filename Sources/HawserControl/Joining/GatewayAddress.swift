/// Where a cloud gateway listens: `host:port`, an IPv6 address in brackets.
public struct GatewayAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or address, without brackets.
    public let host: String
    /// 1...65,535.
    public let port: Int

    public var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// - Parameter text: the port may be missing: then it is `ControlAPI.defaultPort`.
    /// - Returns: `nil` when it is no such address.
    public init?(_ text: some StringProtocol) {
        var rest = Substring(text)
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            guard host.contains(":"), host.utf8.allSatisfy(Self.isOfAddress) else { return nil }
            rest = rest[rest.index(after: end)...]
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = String(rest[..<end])
            guard DomainName.isValid(host) else { return nil }
            rest = rest[end...]
        }
        guard !rest.isEmpty else {
            port = ControlAPI.defaultPort
            return
        }
        guard rest.first == ":", rest.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(rest.dropFirst()), port > 0
        else { return nil }
        self.port = Int(port)
    }

    /// Hexadecimal digits, colons, the dots of an embedded IPv4 address.
    private static func isOfAddress(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66, 0x3A, 0x2E: true
        default: false
        }
    }
}

package enum DomainName {
    /// Whether a provider's servers can have names below it.
    package static func isProviders(_ name: String) -> Bool { isValid(name) && name.utf8.count <= 240 }

    /// A host name of RFC 1123, or an IPv4 address, which looks like one.
    static func isValid(_ name: some StringProtocol) -> Bool {
        guard (1...253).contains(name.utf8.count) else { return false }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D: true
                    default: false
                    }
                }
        }
    }
}
