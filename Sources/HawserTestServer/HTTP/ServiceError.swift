/// A refusal as S3 and STS state it.
struct ServiceError: Error, Sendable {
    var status: Int
    var code: String
    var message: String
    /// Further elements of the document, as `<ServerTime>` of a clock that is off.
    var details: [(name: String, value: String)] = []

    init(_ status: Int, _ code: String, _ message: String, details: [(name: String, value: String)] = []) {
        self.status = status
        self.code = code
        self.message = message
        self.details = details
    }

    init(_ error: ServerBehaviour.ErrorCode, _ message: String) {
        self.init(error.status, error.code, message)
    }

    init(_ failure: OpenFile.Failure) {
        self.init(500, "InternalError", "\(failure.call) failed: \(failure.number)")
    }

    static func accessDenied(_ message: String = "Access Denied") -> ServiceError {
        ServiceError(403, "AccessDenied", message)
    }

    static func invalidArgument(_ message: String) -> ServiceError {
        ServiceError(400, "InvalidArgument", message)
    }

    static func notImplemented(_ what: String) -> ServiceError {
        ServiceError(501, "NotImplemented", "This server does not have \(what).")
    }

    static let noSuchKey = ServiceError(404, "NoSuchKey", "The specified key does not exist.")
    static let noSuchBucket = ServiceError(404, "NoSuchBucket", "The specified bucket does not exist.")
    static let preconditionFailed = ServiceError(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold"
    )
}

/// Thrown to end a connection without an answer, or in the middle of one.
enum ConnectionEnds: Error {
    case reset
    /// In order, when all that was written has been sent.
    case afterWrites
}
