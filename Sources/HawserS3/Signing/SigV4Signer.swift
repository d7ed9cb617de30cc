import CHawser
import Crypto
public import HawserFormat

/// Amazon's Signature Version 4, for requests with headers and for presigned ones.
///
/// Pure: no clock, no I/O. All headers of a request are signed, and those that the signature needs are added.
public struct SigV4Signer: Hashable, Sendable {
    public var region: String
    /// `s3` or `sts`.
    public var service: String

    public init(region: String, service: String = "s3") {
        self.region = region
        self.service = service
    }

    /// Adds `x-amz-date`, `authorization`, of temporary credentials `x-amz-security-token`, and for S3
    /// `x-amz-content-sha256`.
    ///
    /// - Parameter date: more than 15 minutes beside the server's clock are refused there.
    public func sign(_ request: inout SigV4Request, with credentials: S3Credentials, at date: Timestamp) {
        request.headers.append(("x-amz-date", date.amazonText))
        if service == "s3" {
            request.headers.append(("x-amz-content-sha256", request.payload.text))
        }
        if let token = credentials.sessionToken {
            request.headers.append(("x-amz-security-token", token.text))
        }
        let signature = signature(of: request, with: credentials, at: date)
        request.headers.append(
            (
                "authorization",
                "\(Self.algorithm) Credential=\(credentials.accessKeyID)/\(scope(date)), "
                    + "SignedHeaders=\(request.signedHeaders), Signature=\(signature)"
            )
        )
    }

    /// Adds the signature and what belongs to it to the query. Whoever has the target can make this one request, with
    /// exactly the headers that the request has.
    ///
    /// A `payload` that is known goes into the signature, and so must its header `x-amz-content-sha256`: it is added.
    /// - Parameters:
    ///   - seconds: how long it can be used: 1...604,800. It ends earlier with temporary credentials.
    public func presign(
        _ request: inout SigV4Request,
        expiresIn seconds: Int,
        with credentials: S3Credentials,
        at date: Timestamp
    ) {
        if case .sha256 = request.payload {
            request.headers.append(("x-amz-content-sha256", request.payload.text))
        }
        request.query += [
            ("X-Amz-Algorithm", Self.algorithm),
            ("X-Amz-Credential", credentials.accessKeyID + "/" + scope(date)),
            ("X-Amz-Date", date.amazonText),
            ("X-Amz-Expires", String(seconds)),
            ("X-Amz-SignedHeaders", request.signedHeaders),
        ]
        if let token = credentials.sessionToken {
            request.query.append(("X-Amz-Security-Token", token.text))
        }
        request.query.append(("X-Amz-Signature", signature(of: request, with: credentials, at: date)))
    }

    private static let algorithm = "AWS4-HMAC-SHA256"

    private func scope(_ date: Timestamp) -> String {
        "\(date.amazonText.prefix(8))/\(region)/\(service)/aws4_request"
    }

    private func signature(
        of request: SigV4Request,
        with credentials: S3Credentials,
        at date: Timestamp
    ) -> String {
        let hash = SHA256.hash(data: Array(request.canonical.utf8)).hex
        let text = [Self.algorithm, date.amazonText, scope(date), hash].joined(separator: "\n")
        let parts = scope(date).split(separator: "/")
        var key = SymmetricKey(data: credentials.secretAccessKey.authenticationCode(prefix: "AWS4", for: parts[0].utf8))
        for part in parts.dropFirst() {
            key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
        }
        return HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key).hex
    }
}

extension Secret {
    /// HMAC-SHA-256 (RFC 2104) of `message`, the key being `prefix` and the secret.
    ///
    /// By hand: the library's would need a key that is a copy of both, and leaves another one on the stack. Here each byte
    /// of the secret is mixed with the padding before it is stored, and that is wiped.
    func authenticationCode(prefix: String, for message: some Collection<UInt8>) -> SHA256.Digest {
        withUnsafeTemporaryAllocation(byteCount: SHA256.blockByteCount, alignment: 1) { block in
            defer { hawser_wipe(block.baseAddress, block.count) }
            let innerPadding: UInt8 = 0x36
            let outerPadding: UInt8 = 0x5C
            for index in block.indices { block[index] = innerPadding }
            withUnsafeBytes { secret in
                if prefix.utf8.count + secret.count <= block.count {
                    for (index, byte) in prefix.utf8.enumerated() { block[index] ^= byte }
                    for (index, byte) in secret.enumerated() { block[prefix.utf8.count + index] ^= byte }
                } else {
                    // No storage that is known has such long ones.
                    var hash = SHA256()
                    hash.update(data: Array(prefix.utf8))
                    hash.update(bufferPointer: secret)
                    for (index, byte) in hash.finalize().enumerated() { block[index] ^= byte }
                }
            }
            var inner = SHA256()
            inner.update(bufferPointer: UnsafeRawBufferPointer(block))
            inner.update(data: Array(message))
            let digest = inner.finalize()
            for index in block.indices { block[index] ^= innerPadding ^ outerPadding }
            var outer = SHA256()
            outer.update(bufferPointer: UnsafeRawBufferPointer(block))
            digest.withUnsafeBytes { outer.update(bufferPointer: $0) }
            return outer.finalize()
        }
    }

    /// For headers and queries, which can't go over the wire in any other form.
    fileprivate var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension ObjectName {
    static func sha256(of bytes: [UInt8]) -> ObjectName {
        SHA256.hash(data: bytes).withUnsafeBytes { ObjectName($0) }
    }
}
