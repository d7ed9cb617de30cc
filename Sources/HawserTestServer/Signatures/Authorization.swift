import HawserFormat

/// What a request says about who signed it, and how: AWS Signature Version 4 in a header or in the query.
/// (AWS, "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.)
struct Authorization: Sendable {
    enum Place: Sendable {
        case header
        /// A presigned URL, valid for so many seconds.
        case query(expires: Int)
    }

    static let algorithm = "AWS4-HMAC-SHA256"

    let place: Place
    let accessKeyID: String
    /// Of the credential: `20261125`.
    let day: String
    let region: String
    let service: String
    /// In lower case, as they were listed.
    let signedHeaders: [String]
    let signature: String
    /// When it was signed, as text and as time.
    let stamp: String
    let time: Timestamp
    let token: String?

    var scope: String { "\(day)/\(region)/\(service)/aws4_request" }

    /// `nil` for a request without any signature.
    init?(_ request: IncomingRequest) throws(ServiceError) {
        let isPresigned = request.target["X-Amz-Algorithm"] != nil || request.target["X-Amz-Signature"] != nil
        switch (request.headers["authorization"], isPresigned) {
        case (nil, false): return nil
        case (.some, true): throw .invalidArgument("Only one auth mechanism allowed")
        case (let header?, false): try self.init(header: header, request.headers)
        case (nil, true): try self.init(query: request.target)
        }
    }

    private init(header: String, _ headers: HeaderFields) throws(ServiceError) {
        let malformed = ServiceError(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; it must have Credential, SignedHeaders and Signature."
        )
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0] == Self.algorithm else {
            throw .invalidArgument("Unsupported Authorization Type")
        }
        var fields: [String: String] = [:]
        for field in parts[1].split(separator: ",") {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, fields[Self.trimmed(pair[0])] == nil else { throw malformed }
            fields[Self.trimmed(pair[0])] = Self.trimmed(pair[1])
        }
        guard let credential = fields["Credential"], let signed = fields["SignedHeaders"],
            let signature = fields["Signature"]
        else { throw malformed }
        guard let stamp = headers["x-amz-date"], let time = Timestamp(basic: stamp) else {
            throw .accessDenied("AWS authentication requires a valid Date or x-amz-date header")
        }
        try self.init(
            .header,
            credential,
            signed,
            signature,
            stamp,
            time,
            headers["x-amz-security-token"],
            malformed: malformed
        )
    }

    private init(query: RequestTarget) throws(ServiceError) {
        func malformed(_ what: String) -> ServiceError {
            ServiceError(400, "AuthorizationQueryParametersError", what)
        }
        guard query["X-Amz-Algorithm"] == Self.algorithm else {
            throw malformed("X-Amz-Algorithm only supports \"\(Self.algorithm)\"")
        }
        guard let credential = query["X-Amz-Credential"], let signed = query["X-Amz-SignedHeaders"],
            let signature = query["X-Amz-Signature"], let stamp = query["X-Amz-Date"],
            let expiry = query["X-Amz-Expires"]
        else {
            throw malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                    + "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
            )
        }
        guard let time = Timestamp(basic: stamp) else {
            throw malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        }
        // A week, S3's limit.
        guard let expires = Int(expiry), (1...604_800).contains(expires) else {
            throw malformed("X-Amz-Expires must be between 1 and 604800 seconds")
        }
        try self.init(
            .query(expires: expires),
            credential,
            signed,
            signature,
            stamp,
            time,
            query["X-Amz-Security-Token"],
            malformed: malformed("Error parsing the X-Amz-Credential or X-Amz-SignedHeaders parameter.")
        )
    }

    private init(
        _ place: Place,
        _ credential: String,
        _ signedHeaders: String,
        _ signature: String,
        _ stamp: String,
        _ time: Timestamp,
        _ token: String?,
        malformed: ServiceError
    ) throws(ServiceError) {
        // From the end, because a key may have slashes.
        let parts = credential.split(separator: "/", omittingEmptySubsequences: false)
        let names = signedHeaders.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 5, parts[parts.count - 1] == "aws4_request", names.contains("host"),
            names.allSatisfy({ !$0.isEmpty && $0 == $0.lowercased() }), names == names.sorted()
        else { throw malformed }
        self.place = place
        self.accessKeyID = parts.dropLast(4).joined(separator: "/")
        self.day = String(parts[parts.count - 4])
        self.region = String(parts[parts.count - 3])
        self.service = String(parts[parts.count - 2])
        self.signedHeaders = names
        self.signature = signature
        self.stamp = stamp
        self.time = time
        self.token = token
        guard stamp.hasPrefix(day + "T") else { throw malformed }
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
