import HawserFormat
import XMLCoder

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What STS answers, of all requests that give credentials.
struct STSAnswer: Decodable {
    struct Result: Decodable {
        var credentials: Credentials

        enum CodingKeys: String, CodingKey { case credentials = "Credentials" }
    }

    struct Credentials: Decodable {
        var accessKeyID: String
        var secretAccessKey: String
        var sessionToken: String
        var expiration: String

        enum CodingKeys: String, CodingKey {
            case accessKeyID = "AccessKeyId"
            case secretAccessKey = "SecretAccessKey"
            case sessionToken = "SessionToken"
            case expiration = "Expiration"
        }
    }

    private var assumeRole: Result?
    private var webIdentity: Result?
    private var sessionToken: Result?

    enum CodingKeys: String, CodingKey {
        case assumeRole = "AssumeRoleResult"
        case webIdentity = "AssumeRoleWithWebIdentityResult"
        case sessionToken = "GetSessionTokenResult"
    }

    /// - Throws: `unavailable` for what is no such answer, as that of a proxy.
    static func credentials(_ bytes: [UInt8], from place: String) throws -> S3Credentials {
        let answer = try? XMLDecoder().decode(STSAnswer.self, from: Data(bytes))
        guard let found = (answer?.assumeRole ?? answer?.webIdentity ?? answer?.sessionToken)?.credentials,
            let expiration = Timestamp(iso8601: found.expiration)
        else {
            throw HawserError(.unavailable, "What came is no answer of STS. Is this its address?", place: place)
        }
        return S3Credentials(
            accessKeyID: found.accessKeyID,
            secretAccessKey: Secret(Array(found.secretAccessKey.utf8)),
            sessionToken: Secret(Array(found.sessionToken.utf8)),
            expiration: expiration
        )
    }
}

/// Why STS refused: AWS has the error in an `ErrorResponse`, Ceph and others alone.
struct STSRefusal: Decodable {
    struct Reason: Decodable {
        var code: String
        var message: String?

        enum CodingKeys: String, CodingKey {
            case code = "Code"
            case message = "Message"
        }
    }

    private var error: Reason?
    private var code: String?
    private var message: String?

    enum CodingKeys: String, CodingKey {
        case error = "Error"
        case code = "Code"
        case message = "Message"
    }

    var reason: Reason? { error ?? code.map { Reason(code: $0, message: message) } }

    static func reason(_ bytes: [UInt8]) -> Reason? {
        (try? XMLDecoder().decode(STSRefusal.self, from: Data(bytes)))?.reason
    }

    static func error(status: Int, _ bytes: [UInt8], from place: String) -> HawserError {
        let reason = reason(bytes)
        let (code, text) = meaning(of: reason?.code, status: status)
        var message = text
        if let reason {
            let details = reason.message.map { $0.isEmpty ? "" : ": " + $0 } ?? ""
            message += " (\(reason.code)\(details))"
        } else {
            message += " (HTTP \(status))"
        }
        return HawserError(code, message, place: place, isRetryable: code == .unavailable)
    }

    private static func meaning(of code: String?, status: Int) -> (HawserError.Code, String) {
        switch code {
        case "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "InvalidAccessKeyId",
            "SignatureDoesNotMatch", "AccessDenied", "IncompleteSignature", "MissingAuthenticationToken",
            "InvalidToken", "UnrecognizedClientException":
            return (.accessDenied, "STS gives no credentials: the access key is wrong, has ended, or may not do this.")
        case "RequestTimeTooSkewed", "RequestExpired":
            return (.accessDenied, "STS gives no credentials: the clock of this machine or of the server is wrong.")
        case "NoSuchEntity":
            return (.accessDenied, "STS gives no credentials: there is no such role.")
        case "InvalidIdentityToken", "IDPRejectedClaim":
            return (.accessDenied, "STS gives no credentials: the web identity is not accepted.")
        case "RegionDisabledException":
            return (.accessDenied, "STS is not enabled in this region.")
        case "MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError", "InvalidArgument",
            "InvalidParameterValue", "MissingParameter":
            return (.invalidArgument, "STS does not accept the role, the policy, the name or the duration.")
        case "InvalidAction", "MethodNotAllowed":
            return (.unsupported, "The server has no STS, or not this request of it.")
        default: break
        }
        switch status {
        case 408, 429, 500...: return (.unavailable, "STS can't be used now.")
        case 404, 405, 501: return (.unsupported, "The server has no STS, or not this request of it.")
        default: return (.accessDenied, "STS gives no credentials.")
        }
    }
}
