import AsyncHTTPClient
import HawserFormat
public import Logging

extension S3ObjectStore {
    /// The store of a location, with credentials from where AWS' SDKs look for them (`CredentialsChain.standard`).
    ///
    /// It has connections of its own, which are closed when it is dropped, or by `shutdown()`. Nothing is sent yet.
    ///
    /// - Parameter credentials: in place of those.
    /// - Throws: `invalidArgument` for settings that can't work; `accessDenied` when files of the environment can't be
    ///   read.
    public static func open(
        _ url: S3URL,
        settings: S3Settings = S3Settings(),
        environment: AWSEnvironment = .process,
        credentials: (any S3CredentialsProvider)? = nil,
        logger: Logger = Logger(label: "hawser.s3")
    ) async throws -> S3ObjectStore {
        let configuration = try await S3Configuration.resolve(url, settings: settings, environment: environment)
        let owned = OwnedHTTPClient(try HTTPClient.Configuration(configuration))
        let sts = STSClient(configuration.stsEndpoint(environment), client: owned.client)
        let chain = try CredentialsChain.standard(environment, profile: settings.profile, sts: sts)
        return try S3ObjectStore(
            configuration,
            credentials: credentials ?? RenewedCredentials(chain),
            client: owned.client,
            owned: owned,
            logger: logger
        )
    }
}
