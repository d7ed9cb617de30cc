import Crypto
import HawserFormat

/// The signature that a request should have, made anew from what arrived.
///
/// It shares nothing with the client's code: a mistake made in both would not be seen.
struct SignatureV4 {
    let authorization: Authorization
    let canonicalRequest: String

    /// - Parameter payload: what stands for the body: its SHA-256 in hexadecimal digits, or `UNSIGNED-PAYLOAD`.
    init(_ request: IncomingRequest, _ authorization: Authorization, payload: String) {
        self.authorization = authorization
        let headers = authorization.signedHeaders.map { name in
            name + ":" + Self.collapsed(request.headers[name] ?? "") + "\n"
        }
        canonicalRequest = [
            request.method,
            PercentCoding.encode(request.target.path, keeping: UInt8(ascii: "/")),
            Self.canonical(request.target.query),
            headers.joined(),
            authorization.signedHeaders.joined(separator: ";"),
            payload,
        ].joined(separator: "\n")
    }

    private static func canonical(_ query: [RequestTarget.Item]) -> String {
        query.filter { $0.name != "X-Amz-Signature" }
            .map { (PercentCoding.encode($0.name.utf8), PercentCoding.encode($0.value.utf8)) }
            .sorted { $0 < $1 }
            .map { $0.0 + "=" + $0.1 }
            .joined(separator: "&")
    }

    /// Without spaces at the ends, and with one in the place of several.
    private static func collapsed(_ value: String) -> String {
        value.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    }

    var stringToSign: String {
        [
            Authorization.algorithm, authorization.stamp, authorization.scope,
            hexadecimal(SHA256.hash(data: Array(canonicalRequest.utf8))),
        ].joined(separator: "\n")
    }

    func signature(secretAccessKey: String) -> String {
        var key = Array(("AWS4" + secretAccessKey).utf8)
        for part in [authorization.day, authorization.region, authorization.service, "aws4_request"] {
            key = Self.authenticate(part, key)
        }
        return hexadecimal(Self.authenticate(stringToSign, key))
    }

    private static func authenticate(_ text: String, _ key: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
    }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
