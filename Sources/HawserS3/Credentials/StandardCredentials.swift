extension CredentialsChain {
    /// Where AWS' SDKs look, in their order: the environment; a web identity; the shared files; the container's endpoint;
    /// the instance's metadata.
    ///
    /// - Parameters:
    ///   - profile: goes before `AWS_PROFILE`.
    ///   - client: for roles.
    /// - Throws: `accessDenied` when the environment contradicts itself.
    public static func standard(
        _ environment: AWSEnvironment = .process,
        profile: String? = nil,
        sts client: STSClient
    ) throws -> CredentialsChain {
        let webIdentity = try WebIdentityCredentials(environment, at: client)
        let sources: [(any S3CredentialsSource)?] = [
            EnvironmentCredentials(environment),
            webIdentity,
            ProfileCredentials(environment, profile: profile, sts: client),
            ContainerCredentials(environment),
            InstanceCredentials(environment),
        ]
        return CredentialsChain(sources.compactMap { $0 })
    }
}
