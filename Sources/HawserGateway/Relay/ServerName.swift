/// A server name as a client sends it (RFC 6066, section 3): a host name in ASCII, without a dot at its end, and here in
/// small letters, since names are compared without regard to case.
struct ServerName: Hashable, Sendable, CustomStringConvertible {
    let description: String

    /// `nil` for what is no host name: labels of letters, digits, `-` and `_`, 1 to 63 each, 253 together.
    init?(_ text: String) {
        guard (1...253).contains(text.utf8.count) else { return nil }
        var labelLength = 0
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"):
                labelLength += 1
                guard labelLength <= 63 else { return nil }
            case UInt8(ascii: ".") where labelLength > 0:
                labelLength = 0
            default:
                return nil
            }
        }
        guard labelLength > 0 else { return nil }
        // All ASCII by now.
        description = String(decoding: text.utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Behind the first label; `nil` for a name of one label.
    var parent: String? {
        description.utf8.firstIndex(of: UInt8(ascii: ".")).map { dot in
            String(description[description.utf8.index(after: dot)...])
        }
    }
}

/// A name of a route: exact, or `*.example.com` for every name with one label more, as in certificates (RFC 6125, 6.4.3).
public struct ServerNamePattern: Hashable, Sendable, CustomStringConvertible {
    let name: ServerName
    let isWildcard: Bool

    /// `nil` when it is neither a host name nor `*.` and a host name.
    public init?(_ text: String) {
        isWildcard = text.hasPrefix("*.")
        guard let name = ServerName(isWildcard ? String(text.dropFirst(2)) : text) else { return nil }
        self.name = name
    }

    public var description: String { isWildcard ? "*.\(name)" : name.description }
}
