import HawserFormat

extension S3Failure {
    /// What a failure means.
    enum Meaning: Hashable, Sendable {
        case noBucket
        case noObject
        case impossibleRange
        /// The object exists already.
        case exists
        case unknownKey
        case wrongSignature
        /// Of temporary credentials.
        case expired
        case denied
        case wrongRegion
        case elsewhere
        case wrongTime
        case quota
        case full
        case archived
        case notImplemented
        /// Something else than a storage answered.
        case foreign
        /// It passes by itself.
        case passing
        case other
    }

    var meaning: Meaning {
        // A gateway in front of a storage that is away answers in HTML as well.
        if isForeign { return status >= 500 || status == 429 ? .passing : .foreign }
        // Of conflicts only races pass, and those have codes of their own; HEAD never has one.
        if status == 409, !code.isEmpty { return Self.meanings[code] ?? .other }
        return Self.meanings[code] ?? meaningOfStatus
    }

    /// "Error responses" in the Amazon S3 API Reference; Ceph's, MinIO's and OpenStack Swift's own ones by their source.
    private static let meanings: [String: Meaning] = [
        "NoSuchBucket": .noBucket,
        "NoSuchKey": .noObject,
        "InvalidRange": .impossibleRange,
        "PreconditionFailed": .exists,
        "InvalidAccessKeyId": .unknownKey,
        "SignatureDoesNotMatch": .wrongSignature,
        "ExpiredToken": .expired,
        "ExpiredTokenException": .expired,
        "InvalidToken": .expired,
        "TokenRefreshRequired": .expired,
        "AccessDenied": .denied,
        "AllAccessDisabled": .denied,
        "AccountProblem": .denied,
        "UserSuspended": .denied,
        "AuthorizationHeaderMalformed": .wrongRegion,
        "PermanentRedirect": .elsewhere,
        "TemporaryRedirect": .elsewhere,
        "Redirect": .elsewhere,
        "RequestTimeTooSkewed": .wrongTime,
        "QuotaExceeded": .quota,
        "XMinioAdminBucketQuotaExceeded": .quota,
        "ServiceQuotaExceeded": .quota,
        "InsufficientStorage": .full,
        "XMinioStorageFull": .full,
        "InvalidObjectState": .archived,
        "NotImplemented": .notImplemented,
        "MethodNotAllowed": .notImplemented,
        // Races and loads.
        "ConditionalRequestConflict": .passing,
        "OperationAborted": .passing,
        "SlowDown": .passing,
        "SlowDownRead": .passing,
        "SlowDownWrite": .passing,
        "ServiceUnavailable": .passing,
        "InternalError": .passing,
        "TooManyRequests": .passing,
        "RequestTimeout": .passing,
        // The bytes changed on their way, or did not all arrive.
        "BadDigest": .passing,
        "XAmzContentSHA256Mismatch": .passing,
        "IncompleteBody": .passing,
    ]

    private var meaningOfStatus: Meaning {
        switch status {
        case 301, 302, 307, 308: .elsewhere
        case 401, 403: .denied
        case 404: .noObject
        case 405, 501: .notImplemented
        case 407: .foreign
        case 412: .exists
        case 416: .impossibleRange
        case 507: .full
        case 408, 409, 425, 429, 500...599: .passing
        default: .other
        }
    }
}
