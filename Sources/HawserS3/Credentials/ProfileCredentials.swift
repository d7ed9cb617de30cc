import HawserFormat

/// What the selected profile of the shared files says: keys, a program to ask, or a role to assume.
///
/// A role names where the credentials come from that assume it: `source_profile`, `credential_source`, or
/// `web_identity_token_file`.
public struct ProfileCredentials: S3CredentialsSource {
    private let environment: AWSEnvironment
    private let profile: String?
    private let client: STSClient

    // Roles that assume roles: AWS' documentation speaks of chains, nobody has five links.
    private static let chainLimit = 5

    /// - Parameter profile: goes before `AWS_PROFILE`.
    public init(_ environment: AWSEnvironment = .process, profile: String? = nil, sts client: STSClient) {
        self.environment = environment
        self.profile = profile
        self.client = client
    }

    public var place: String { "the profile «\(profile ?? environment["AWS_PROFILE"] ?? "default")»" }

    public func load() async throws -> S3Credentials? {
        // Read each time: what renews the keys in them may be another program.
        let profiles = try await AWSProfiles.load(environment, profile: profile)
        guard profiles.has(profiles.selected) else {
            if !profiles.isNamed { return nil }
            throw error(profiles.selected, "does not exist")
        }
        guard let source = try source(profiles.selected, of: profiles, chain: []) else {
            if !profiles.isNamed { return nil }
            throw error(profiles.selected, "names no credentials")
        }
        return try await source.load()
    }

    private func source(
        _ name: String,
        of profiles: AWSProfiles,
        chain: [String]
    ) throws -> (any S3CredentialsSource)? {
        guard profiles.has(name) else { throw error(name, "does not exist") }
        // A profile may name itself: its own keys assume its role.
        if chain.last != name, let role = profiles.setting("role_arn", of: name) {
            return try self.role(role, name, of: profiles, chain: chain)
        }
        switch (profiles.setting("aws_access_key_id", of: name), profiles.setting("aws_secret_access_key", of: name)) {
        case (let id?, let secret?):
            return StaticCredentials(
                accessKeyID: id,
                secretAccessKey: Secret(Array(secret.utf8)),
                sessionToken: profiles.setting("aws_session_token", of: name).map { Secret(Array($0.utf8)) }
            )
        case (nil, nil): break
        default: throw error(name, "has only one of aws_access_key_id and aws_secret_access_key")
        }
        if let command = profiles.setting("credential_process", of: name) {
            return ProcessCredentials(command: command)
        }
        if profiles.setting("sso_session", of: name) ?? profiles.setting("sso_start_url", of: name) != nil {
            throw error(
                name,
                "uses single sign-on: set credential_process = aws configure export-credentials --profile \(name) in another one"
            )
        }
        return nil
    }

    private func role(
        _ role: String,
        _ name: String,
        of profiles: AWSProfiles,
        chain: [String]
    ) throws -> any S3CredentialsSource {
        guard chain.count < Self.chainLimit, !chain.contains(name) else {
            throw error(name, "assumes a role by a chain of profiles that has no end")
        }
        if profiles.setting("mfa_serial", of: name) != nil {
            throw error(name, "asks for a one-time code: use credential_process for that")
        }
        var request = AssumeRoleRequest(roleARN: role)
        if let session = profiles.setting("role_session_name", of: name) { request.sessionName = session }
        request.externalID = profiles.setting("external_id", of: name)
        if let seconds = profiles.setting("duration_seconds", of: name) {
            guard let seconds = Int(seconds), seconds > 0 else { throw error(name, "has a duration that is no number") }
            request.duration = .seconds(seconds)
        }
        if let file = profiles.setting("web_identity_token_file", of: name) {
            return WebIdentityCredentials(request, tokenFile: file, at: client)
        }
        let source: (any S3CredentialsSource)?
        if let other = profiles.setting("source_profile", of: name) {
            source = try self.source(other, of: profiles, chain: chain + [name])
        } else {
            switch profiles.setting("credential_source", of: name) {
            case "Environment": source = EnvironmentCredentials(environment)
            case "Ec2InstanceMetadata": source = InstanceCredentials(environment)
            case "EcsContainer": source = ContainerCredentials(environment)
            default: source = nil
            }
        }
        guard let source else { throw error(name, "has a role, but no credentials that could assume it") }
        return AssumedRoleCredentials(request, with: RenewedCredentials(source), at: client)
    }

    private func error(_ profile: String, _ problem: String) -> HawserError {
        HawserError(.accessDenied, "The AWS profile «\(profile)» \(problem).")
    }
}
