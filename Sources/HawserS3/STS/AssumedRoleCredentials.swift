import HawserFormat

/// The temporary credentials of a role that other credentials may assume.
public struct AssumedRoleCredentials: S3CredentialsSource {
    private let client: STSClient
    private let request: AssumeRoleRequest
    private let credentials: any S3CredentialsProvider

    /// - Parameter credentials: of who assumes the role.
    public init(_ request: AssumeRoleRequest, with credentials: any S3CredentialsProvider, at client: STSClient) {
        self.client = client
        self.request = request
        self.credentials = credentials
    }

    public var place: String { "the role \(request.roleARN)" }

    public func load() async throws -> S3Credentials? {
        try await client.assumeRole(request, with: credentials)
    }
}

/// The temporary credentials of a role that a token of an identity provider stands for, as in a Kubernetes pod.
public struct WebIdentityCredentials: S3CredentialsSource {
    private let client: STSClient
    private let request: AssumeRoleRequest
    private let tokenFile: String

    /// - Parameter tokenFile: read each time, since the token in it is replaced before it ends.
    public init(_ request: AssumeRoleRequest, tokenFile: String, at client: STSClient) {
        self.client = client
        self.request = request
        self.tokenFile = tokenFile
    }

    /// What `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` and `AWS_ROLE_SESSION_NAME` say; `nil` when they say nothing.
    ///
    /// - Throws: `accessDenied` when there is a token but no role.
    public init?(_ environment: AWSEnvironment, at client: STSClient) throws {
        guard let file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"] else { return nil }
        guard let role = environment["AWS_ROLE_ARN"] else {
            throw HawserError(.accessDenied, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN.")
        }
        let name = environment["AWS_ROLE_SESSION_NAME"] ?? AssumeRoleRequest.defaultSessionName
        self.init(AssumeRoleRequest(roleARN: role, sessionName: name), tokenFile: file, at: client)
    }

    public var place: String { "the web identity of \(request.roleARN)" }

    public func load() async throws -> S3Credentials? {
        guard var token = try await SmallFile.text(tokenFile, what: "the web identity's token") else {
            throw HawserError(.accessDenied, "The file with the web identity's token does not exist.", place: tokenFile)
        }
        while token.last?.isNewline ?? false { token.removeLast() }
        return try await client.assumeRole(request, webIdentity: Secret(Array(token.utf8)))
    }
}
