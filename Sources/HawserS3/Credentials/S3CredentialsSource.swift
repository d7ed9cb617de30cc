public import HawserFormat

/// One place where credentials can be got. Asked when they are needed and again before they end; `RenewedCredentials`
/// keeps them in between.
public protocol S3CredentialsSource: Sendable {
    /// What it is called in messages, such as `the environment`.
    var place: String { get }

    /// `nil` when nothing is set up here, so that another place may be asked.
    ///
    /// - Throws: `accessDenied` when it is set up and gives none; `unavailable` when it can't be reached.
    func load() async throws -> S3Credentials?
}

/// Asks some places in order; the first that is set up gives the credentials.
public struct CredentialsChain: S3CredentialsSource {
    private let sources: [any S3CredentialsSource]

    public init(_ sources: [any S3CredentialsSource]) {
        self.sources = sources
    }

    public var place: String { sources.map(\.place).joined(separator: ", ") }

    /// A place that is set up wrongly ends the search: what comes behind it was not meant.
    public func load() async throws -> S3Credentials? {
        for source in sources {
            if let found = try await source.load() { return found }
        }
        return nil
    }
}

/// Credentials that the program was given, for as long as it runs.
public struct StaticCredentials: S3CredentialsProvider, S3CredentialsSource {
    private let credentials: S3Credentials

    public init(_ credentials: S3Credentials) {
        self.credentials = credentials
    }

    public init(accessKeyID: String, secretAccessKey: Secret, sessionToken: Secret? = nil) {
        self.init(
            S3Credentials(accessKeyID: accessKeyID, secretAccessKey: secretAccessKey, sessionToken: sessionToken)
        )
    }

    public var place: String { "the program" }

    public func load() async throws -> S3Credentials? { credentials }

    public func withCredentials<Result: Sendable>(
        _ use: @Sendable (S3Credentials) throws -> Result
    ) async throws -> Result {
        try use(credentials)
    }

    public func renew(refused accessKeyID: String) async throws -> Bool { false }
}

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`.
public struct EnvironmentCredentials: S3CredentialsSource {
    private let environment: AWSEnvironment

    public init(_ environment: AWSEnvironment = .process) {
        self.environment = environment
    }

    public var place: String { "the environment" }

    public func load() async throws -> S3Credentials? {
        switch (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) {
        case (nil, nil): return nil
        case (let id?, let secret?):
            return S3Credentials(
                accessKeyID: id,
                secretAccessKey: Secret(Array(secret.utf8)),
                sessionToken: environment["AWS_SESSION_TOKEN"].map { Secret(Array($0.utf8)) }
            )
        case (_?, nil): throw Self.missing("AWS_SECRET_ACCESS_KEY", beside: "AWS_ACCESS_KEY_ID")
        case (nil, _?): throw Self.missing("AWS_ACCESS_KEY_ID", beside: "AWS_SECRET_ACCESS_KEY")
        }
    }

    private static func missing(_ name: String, beside other: String) -> HawserError {
        HawserError(.accessDenied, "\(other) is set, but not \(name): set both or none.")
    }
}
