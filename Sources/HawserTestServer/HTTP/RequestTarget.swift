/// The target of a request as it was sent: nothing is normalised, because a signature covers what was sent.
struct RequestTarget: Sendable {
    struct Item: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// Decoded, with its leading `/`.
    let path: [UInt8]
    /// Decoded, in the order in which they were sent.
    let query: [Item]

    /// `nil` when an escape is none, when a name or value is not UTF-8, or when there is no path.
    init?(_ raw: String) {
        let parts = raw.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let rawPath = parts.first, rawPath.first == UInt8(ascii: "/"),
            let path = PercentCoding.decode(rawPath, plusIsSpace: false)
        else { return nil }
        guard let query = parts.count > 1 ? Self.form(parts[1]) : [] else { return nil }
        self.path = path
        self.query = query
    }

    /// The pairs of a query or of a form; `+` is a space there.
    static func form(_ raw: some Collection<UInt8>) -> [Item]? {
        var items: [Item] = []
        for pair in raw.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = text(parts[0]), let value = parts.count > 1 ? text(parts[1]) : "" else { return nil }
            items.append(Item(name: name, value: value))
        }
        return items
    }

    private static func text(_ raw: some Collection<UInt8>) -> String? {
        PercentCoding.decode(raw, plusIsSpace: true).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The value of the first item of this name; empty for one without `=`.
    subscript(name: String) -> String? {
        query.first { $0.name == name }?.value
    }
}

/// RFC 3986, 2.1.
enum PercentCoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default:
            false
        }
    }

    /// Everything is escaped but the unreserved characters and `keeping`.
    static func encode(_ bytes: some Sequence<UInt8>, keeping: UInt8? = nil) -> String {
        var encoded: [UInt8] = []
        for byte in bytes {
            if isUnreserved(byte) || byte == keeping {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// `nil` when a `%` is not followed by two hexadecimal digits.
    static func decode(_ raw: some Collection<UInt8>, plusIsSpace: Bool) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(raw.count)
        var bytes = raw.makeIterator()
        while let byte = bytes.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = bytes.next().flatMap(hexValue), let low = bytes.next().flatMap(hexValue) else {
                    return nil
                }
                decoded.append(high << 4 | low)
            } else {
                decoded.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return decoded
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
    }
}
