/// Where servers differ. The default is what Amazon S3 does; `ceph`, `swift` and `rclone` are what those were measured to
/// do; where they were not measured, they do as Amazon S3.
public struct ServerBehaviour: Hashable, Sendable {
    /// A status and the code that goes with it.
    public struct ErrorCode: Hashable, Sendable {
        public var status: Int
        public var code: String

        public init(_ status: Int, _ code: String) {
            self.status = status
            self.code = code
        }
    }

    public enum IfMatch: Hashable, Sendable {
        case honoured
        /// Holds for the ETag without its quotes only.
        case unquotedOnly
        /// 501.
        case notImplemented
        case ignored
    }

    /// A second PUT of a key with `If-None-Match: *` gets 412; `false`: it replaces the object.
    public var honoursIfNoneMatch = true
    public var ifMatch = IfMatch.honoured
    /// A body must have the SHA-256 that `x-amz-content-sha256` states; `false`: any body is taken.
    public var checksSHA256 = true
    /// `UNSIGNED-PAYLOAD` is taken in the place of a SHA-256.
    public var allowsUnsignedPayload = true
    public var checksMD5 = true
    /// DELETE of several objects needs `Content-MD5` or one of the newer checksum headers.
    public var requiresChecksumOfDeleteMany = true
    /// So does what locks an object.
    public var requiresChecksumOfLocks = true
    /// ETags are the MD5 of the object, which costs 1.4 CPU seconds a GB; `false`: they are arbitrary, and look like those
    /// of multipart uploads.
    public var answersMD5ETags = true
    /// GET of a range gives the right bytes under status 200.
    public var answersRangeWith200 = false
    /// Refuse another region than the configuration's.
    public var requiresRegion = true
    /// Every `x-amz-*` header must be signed.
    public var requiresSignedAmzHeaders = true
    /// How far a request's time may be off.
    public var maximumClockSkew = Duration.seconds(900)
    public var clockSkewError = ErrorCode(403, "RequestTimeTooSkewed")
    public var unknownKeyError = ErrorCode(403, "InvalidAccessKeyId")
    public var wrongSignatureError = ErrorCode(403, "SignatureDoesNotMatch")
    public var expiredTokenError = ErrorCode(400, "ExpiredToken")
    public var invalidTokenError = ErrorCode(400, "InvalidToken")
    public var quotaError = ErrorCode(403, "QuotaExceeded")
    public var hasErrorMessages = true
    /// GET of a missing key by somebody who may not list the bucket gets 403, not 404.
    public var hidesMissingKeys = true
    /// One key that may not be deleted fails a DELETE of several as a whole, and none is deleted.
    public var deletesManyAllOrNone = false
    /// The type of what a DELETE of several answers.
    public var typeOfDeleteManyResult = "application/xml"
    /// Lists write a space as `+` when they encode keys; `false`: `%20`.
    public var encodesSpaceAsPlus = true
    /// Creating a bucket that exists; `nil`: 200.
    public var bucketExistsError: ErrorCode? = ErrorCode(409, "BucketAlreadyOwnedByYou")
    /// Keys that a file system can't have (`x//y`, `x/../y`, `/x`) are refused.
    public var refusesUncleanKeys = false
    public var hasSecurityTokens = true
    public var hasObjectLock = true
    /// What GetBucketVersioning answers with 501 where it is `false`.
    public var hasVersioning = true

    public init() {}

    /// Amazon S3.
    public static let aws = ServerBehaviour()

    /// Ceph RGW 16.2.15 with STS: an expired token is an `AccessDenied` as any other.
    public static let ceph: ServerBehaviour = {
        var behaviour = ServerBehaviour()
        behaviour.ifMatch = .unquotedOnly
        behaviour.requiresRegion = false
        behaviour.requiresSignedAmzHeaders = false
        behaviour.unknownKeyError = ErrorCode(403, "AccessDenied")
        behaviour.wrongSignatureError = ErrorCode(403, "AccessDenied")
        behaviour.expiredTokenError = ErrorCode(403, "AccessDenied")
        behaviour.invalidTokenError = ErrorCode(403, "AccessDenied")
        behaviour.requiresChecksumOfDeleteMany = false
        behaviour.hasErrorMessages = false
        behaviour.hidesMissingKeys = false
        behaviour.deletesManyAllOrNone = true
        behaviour.encodesSpaceAsPlus = false
        behaviour.bucketExistsError = nil
        return behaviour
    }()

    /// OpenStack Swift 2.38 with s3api.
    public static let swift: ServerBehaviour = {
        var behaviour = ServerBehaviour()
        behaviour.ifMatch = .notImplemented
        behaviour.unknownKeyError = ErrorCode(403, "SignatureDoesNotMatch")
        behaviour.typeOfDeleteManyResult = "text/html; charset=UTF-8"
        behaviour.encodesSpaceAsPlus = false
        behaviour.hasSecurityTokens = false
        behaviour.hasObjectLock = false
        return behaviour
    }()

    /// `rclone serve s3` 1.75: a weak store.
    public static let rclone: ServerBehaviour = {
        var behaviour = ServerBehaviour()
        behaviour.honoursIfNoneMatch = false
        behaviour.ifMatch = .ignored
        behaviour.requiresRegion = false
        behaviour.checksSHA256 = false
        behaviour.answersRangeWith200 = true
        behaviour.requiresChecksumOfDeleteMany = false
        behaviour.clockSkewError = ErrorCode(400, "AccessDenied")
        behaviour.bucketExistsError = ErrorCode(409, "BucketAlreadyExists")
        behaviour.hidesMissingKeys = false
        behaviour.encodesSpaceAsPlus = false
        behaviour.refusesUncleanKeys = true
        behaviour.hasSecurityTokens = false
        behaviour.hasObjectLock = false
        behaviour.hasVersioning = false
        return behaviour
    }()
}
