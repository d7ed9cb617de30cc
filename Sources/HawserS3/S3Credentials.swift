public import HawserFormat

/// An access key of an S3 storage, permanent or temporary.
public struct S3Credentials: Sendable {
    public let accessKeyID: String
    public let secretAccessKey: Secret
    /// Of temporary credentials.
    public let sessionToken: Secret?
    /// When temporary credentials end, where that is known.
    public let expiration: Timestamp?

    public init(
        accessKeyID: String,
        secretAccessKey: Secret,
        sessionToken: Secret? = nil,
        expiration: Timestamp? = nil
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.expiration = expiration
    }
}

/// Where the credentials of requests come from. It is asked for every request, so credentials can be renewed while a
/// job runs.
public protocol S3CredentialsProvider: Sendable {
    /// Calls `use` once with the credentials that are valid now. `use` signs one request and keeps nothing.
    ///
    /// - Throws: `accessDenied` when there are none, saying where they were looked for; what `use` throws.
    func withCredentials<Result: Sendable>(
        _ use: @Sendable (S3Credentials) throws -> Result
    ) async throws -> Result

    /// The storage refused a request that was signed with this access key: it may have expired or been revoked.
    ///
    /// - Returns: whether there are other credentials now, so that the request is worth repeating once.
    func renew(refused accessKeyID: String) async throws -> Bool
}
