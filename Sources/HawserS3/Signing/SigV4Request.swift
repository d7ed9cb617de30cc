public import HawserFormat

/// A request as Signature Version 4 sees it. Its target on the wire is exactly what is signed: every byte is encoded
/// once, nothing is normalised, and the query is sorted.
public struct SigV4Request: Sendable {
    /// In capitals.
    public var method: String
    /// As the `Host` header has it: with the port, unless that is the scheme's own.
    public var host: String
    /// Not encoded; begins with a slash.
    public var path: String
    /// Not encoded, in any order.
    public var query: [(name: String, value: String)]
    /// All that are to be signed, names in small letters; `host` is not among them.
    public var headers: [(name: String, value: String)]
    /// The hash of the body, or what stands for it.
    public var payload: Payload

    /// What is signed as the body's hash.
    public enum Payload: Hashable, Sendable {
        case sha256(ObjectName)
        /// For presigned requests whose body is not known.
        case unsigned

        /// Of requests without a body: the SHA-256 of no bytes.
        public static let empty = Payload.sha256(.ofNoBytes)

        /// As `x-amz-content-sha256` has it.
        var text: String {
            switch self {
            case .sha256(let hash): hash.hex
            case .unsigned: "UNSIGNED-PAYLOAD"
            }
        }
    }

    public init(
        method: String,
        host: String,
        path: String,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        payload: Payload = .empty
    ) {
        self.method = method
        self.host = host
        self.path = path
        self.query = query
        self.headers = headers
        self.payload = payload
    }

    /// Path and query as they go over the wire.
    public var target: String {
        let query = encodedQuery
        return query.isEmpty ? encodedPath : encodedPath + "?" + query
    }

    var encodedPath: String {
        path.percentEncoded(keepingSlashes: true)
    }

    var encodedQuery: String {
        query
            .map { (name: $0.name.percentEncoded(), value: $0.value.percentEncoded()) }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
            .map { $0.name + "=" + $0.value }
            .joined(separator: "&")
    }

    /// The names of the headers to be signed, `host` included, in order.
    var signedHeaders: String {
        canonicalHeaders.map(\.name).joined(separator: ";")
    }

    /// Sorted, one for each name, spaces trimmed and folded.
    private var canonicalHeaders: [(name: String, value: String)] {
        Dictionary(grouping: headers + [("host", host)], by: \.name)
            .map { name, fields in (name, fields.map(\.value.trimmed).joined(separator: ",")) }
            .sorted { $0.name < $1.name }
    }

    /// "Create a canonical request" in the AWS General Reference, with S3's rules for the path.
    var canonical: String {
        let lines = [method, encodedPath, encodedQuery] + canonicalHeaders.map { $0.name + ":" + $0.value }
        return (lines + ["", signedHeaders, payload.text]).joined(separator: "\n")
    }
}

extension ObjectName {
    static let ofNoBytes = sha256(of: [])
}

extension String {
    /// Percent-encoded as RFC 3986 has it: all bytes of the UTF-8 but letters, digits and `-._~`.
    func percentEncoded(keepingSlashes: Bool = false) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(utf8.count)
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.append(byte)
            case UInt8(ascii: "/") where keepingSlashes:
                encoded.append(byte)
            default:
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Without spaces at the ends, and with one where there are several.
    fileprivate var trimmed: String {
        split(separator: " ").joined(separator: " ")
    }
}
