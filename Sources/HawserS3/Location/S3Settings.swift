import HawserFormat

/// What is known of a storage beside its location. What is `nil` is taken from the environment, from the profile of AWS'
/// shared files, or from the endpoint.
public struct S3Settings: Hashable, Sendable {
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's `region`, else `us-east-1`. A storage that wants another says so.
    public var region: String?
    /// Path style, and virtual hosts for Amazon.
    public var addressing: S3Configuration.Addressing?
    /// A file of certificates in PEM that are trusted as well as the system's; `AWS_CA_BUNDLE`, the profile's `ca_bundle`.
    public var certificateAuthorities: String?
    /// A profile of the shared files; `AWS_PROFILE`, else `default`.
    public var profile: String?
    /// How many requests run at one time.
    public var connections: Int?

    public init() {}
}

extension S3Configuration {
    /// The configuration for a location.
    ///
    /// - Throws: `invalidArgument`; `accessDenied` when a file of profiles can't be read.
    public static func resolve(
        _ url: S3URL,
        settings: S3Settings = S3Settings(),
        environment: AWSEnvironment = .process
    ) async throws -> S3Configuration {
        let profiles = try await AWSProfiles.load(environment, profile: settings.profile)
        let given =
            try url.endpoint
            ?? (environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"]
            ?? profiles.setting("endpoint_url")).map { try S3Endpoint(parsing: $0) }
        let region =
            settings.region ?? given?.amazonRegion ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"]
            ?? profiles.setting("region")
        // Amazon's address without a region leads everywhere by redirections; the region's own needs none.
        let endpoint =
            if let given, !given.isGlobalAmazon { given } else { S3Endpoint.amazon(region: region ?? Self.firstRegion) }
        var configuration = S3Configuration(
            endpoint: endpoint,
            region: region ?? Self.firstRegion,
            bucket: url.bucket,
            prefix: url.folder,
            // A dot in the name would need a certificate for names below names.
            addressing: settings.addressing ?? (endpoint.isAmazon && !url.bucket.contains(".") ? .virtualHost : .path),
            certificateAuthorities: settings.certificateAuthorities ?? environment["AWS_CA_BUNDLE"]
                ?? profiles.setting("ca_bundle"),
            proxy: try HTTPProxy.fromEnvironment(environment.proxies, for: endpoint)
        )
        if let connections = settings.connections { configuration.connections = connections }
        return configuration
    }

    // What Amazon signs for where no region is given, and what most other storages take.
    private static let firstRegion = "us-east-1"

    /// Where this storage makes temporary credentials: Amazon has servers of their own for that, others, as Ceph and
    /// MinIO, do it at the same address. `AWS_ENDPOINT_URL_STS` goes before both.
    public func stsEndpoint(_ environment: AWSEnvironment = .process) -> STSEndpoint {
        if let url = environment["AWS_ENDPOINT_URL_STS"] { return STSEndpoint(url: url, region: region) }
        return endpoint.isAmazon ? .aws(region: region) : STSEndpoint(url: endpoint.description, region: region)
    }
}

extension S3Endpoint {
    var isGlobalAmazon: Bool { host == "s3.amazonaws.com" }

    /// Of `s3.eu-central-1.amazonaws.com`, `s3-eu-west-1.amazonaws.com` and `s3.dualstack.eu-west-1.amazonaws.com`.
    var amazonRegion: String? {
        guard isAmazon, let end = host.firstRange(of: ".amazonaws.com") else { return nil }
        let name = host[..<end.lowerBound]
        let region = ["s3.dualstack.", "s3.", "s3-"].first(where: name.hasPrefix).map { name.dropFirst($0.count) }
        return region.flatMap { $0.isEmpty || $0.contains(".") ? nil : String($0) }
    }
}

extension AWSEnvironment {
    fileprivate var proxies: [String: String] {
        let names = ["https_proxy", "http_proxy", "all_proxy", "no_proxy"]
        return (names + names.map { $0.uppercased() }).reduce(into: [:]) { $0[$1] = self[$1] }
    }
}
