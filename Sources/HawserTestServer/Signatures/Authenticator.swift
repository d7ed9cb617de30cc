import HawserFormat

/// Decides who sent a request.
struct Authenticator: Sendable {
    let configuration: S3TestServer.Configuration
    let accounts: Accounts
    let roles: RoleTable

    private var behaviour: ServerBehaviour { configuration.behaviour }

    /// - Parameter payload: the SHA-256 of the body where the service takes it from there, as STS does.
    func authenticate(
        _ request: IncomingRequest,
        payload: String?,
        service: String = "s3"
    ) throws(ServiceError) -> Identity {
        guard let authorization = try Authorization(request) else {
            if request.kind == .sts {
                throw ServiceError(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            throw .accessDenied("Anonymous access is forbidden")
        }
        try checkScope(authorization, service: service)
        try checkTime(authorization)
        try checkSignedHeaders(authorization, request)
        let payload = if let payload { payload } else { try declaredPayload(authorization, request) }

        guard let account = accounts.account(authorization.accessKeyID) else {
            throw ServiceError(
                behaviour.unknownKeyError,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        }
        try checkToken(authorization.token, of: account)
        let expected = SignatureV4(request, authorization, payload: payload)
        guard expected.signature(secretAccessKey: account.secretAccessKey) == authorization.signature else {
            throw ServiceError(
                behaviour.wrongSignatureError.status,
                behaviour.wrongSignatureError.code,
                "The request signature we calculated does not match the signature you provided. "
                    + "Check your key and signing method.",
                details: [
                    ("AWSAccessKeyId", account.accessKeyID), ("StringToSign", expected.stringToSign),
                    ("SignatureProvided", authorization.signature), ("CanonicalRequest", expected.canonicalRequest),
                ]
            )
        }
        var policies = account.policies
        if let role = account.role {
            guard let policy = roles.policy(of: role) else { throw .accessDenied() }
            policies.append(policy)
        }
        return Identity(accessKeyID: account.accessKeyID, policies: policies, isSession: account.token != nil)
    }

    private func checkScope(_ authorization: Authorization, service: String) throws(ServiceError) {
        func malformed(_ what: String, _ wanted: String, _ details: [(name: String, value: String)]) -> ServiceError {
            let message = "the \(what) '\(wanted)' is expected"
            return switch authorization.place {
            case .header:
                ServiceError(
                    400,
                    "AuthorizationHeaderMalformed",
                    "The authorization header is malformed; " + message,
                    details: details
                )
            case .query:
                ServiceError(
                    400,
                    "AuthorizationQueryParametersError",
                    "Error parsing the X-Amz-Credential parameter; " + message,
                    details: details
                )
            }
        }
        guard authorization.service == service else { throw malformed("service", service, []) }
        guard !behaviour.requiresRegion || authorization.region == configuration.region else {
            throw malformed("region", configuration.region, [("Region", configuration.region)])
        }
    }

    private func checkTime(_ authorization: Authorization) throws(ServiceError) {
        let now = configuration.now()
        let skew = behaviour.maximumClockSkew
        switch authorization.place {
        case .header:
            guard authorization.time <= now.advanced(by: skew), now <= authorization.time.advanced(by: skew) else {
                throw ServiceError(
                    behaviour.clockSkewError.status,
                    behaviour.clockSkewError.code,
                    "The difference between the request time and the current time is too large.",
                    details: [
                        ("RequestTime", authorization.stamp), ("ServerTime", now.extended),
                        ("MaxAllowedSkewMilliseconds", String(skew.components.seconds * 1000)),
                    ]
                )
            }
        case .query(let expires):
            guard authorization.time <= now.advanced(by: skew) else {
                throw .accessDenied("Request is not valid yet")
            }
            let end = authorization.time.advanced(by: .seconds(expires))
            guard now <= end else {
                throw ServiceError(
                    403,
                    "AccessDenied",
                    "Request has expired",
                    details: [
                        ("X-Amz-Expires", String(expires)), ("Expires", end.extended), ("ServerTime", now.extended),
                    ]
                )
            }
        }
    }

    private func checkSignedHeaders(_ authorization: Authorization, _ request: IncomingRequest) throws(ServiceError) {
        let signed = Set(authorization.signedHeaders)
        let unsigned = request.headers.values.keys.filter { $0.hasPrefix("x-amz-") && !signed.contains($0) }.sorted()
        guard unsigned.isEmpty || !behaviour.requiresSignedAmzHeaders else {
            throw ServiceError(
                403,
                "AccessDenied",
                "There were headers present in the request which were not signed",
                details: [("HeadersNotSigned", unsigned.joined(separator: ", "))]
            )
        }
    }

    private func declaredPayload(
        _ authorization: Authorization,
        _ request: IncomingRequest
    ) throws(ServiceError) -> String {
        let declared = request.headers["x-amz-content-sha256"]
        switch authorization.place {
        case .query:
            let isSigned = authorization.signedHeaders.contains("x-amz-content-sha256")
            return isSigned ? declared ?? "" : PayloadHash.unsigned
        case .header:
            guard let declared else {
                throw ServiceError(
                    400,
                    "InvalidRequest",
                    "Missing required header for this request: x-amz-content-sha256"
                )
            }
            return declared
        }
    }

    private func checkToken(_ token: String?, of account: Account) throws(ServiceError) {
        switch (token, account.token) {
        case (nil, nil): return
        case (nil, .some):
            throw ServiceError(
                behaviour.unknownKeyError,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        case (let given, let expected):
            guard given == expected else {
                throw ServiceError(
                    behaviour.invalidTokenError,
                    "The provided token is malformed or otherwise invalid."
                )
            }
        }
        if let expiration = account.expiration, expiration <= configuration.now() { throw expiredToken }
    }

    var expiredToken: ServiceError {
        ServiceError(behaviour.expiredTokenError, "The provided token has expired.")
    }
}

/// What `x-amz-content-sha256` says of a body.
enum PayloadHash {
    static let unsigned = "UNSIGNED-PAYLOAD"

    case unchecked
    case sha256(String)

    init(_ request: IncomingRequest, _ behaviour: ServerBehaviour) throws(ServiceError) {
        guard let declared = request.headers["x-amz-content-sha256"] else {
            self = .unchecked
            return
        }
        if declared == Self.unsigned {
            guard behaviour.allowsUnsignedPayload else {
                throw .accessDenied("The body must be signed.")
            }
            self = .unchecked
        } else if declared.hasPrefix("STREAMING-") {
            throw .notImplemented("signed chunks and trailers")
        } else if declared.utf8.count == 64, declared.utf8.allSatisfy(Self.isLowercaseHexadecimal) {
            self = behaviour.checksSHA256 ? .sha256(declared) : .unchecked
        } else {
            throw .invalidArgument("x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")
        }
    }

    private static func isLowercaseHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
