/// The profiles of both shared files, read once. Settings of the credentials file go before those of the config file.
public struct AWSProfiles: Sendable {
    private let credentials: ProfileFile
    private let config: ProfileFile
    /// The one that is meant when none is named: `AWS_PROFILE`, else `default`.
    public let selected: String
    /// Whether somebody named it, so that it must be there.
    let isNamed: Bool

    /// Reads `~/.aws/credentials` and `~/.aws/config`, or what `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` name.
    /// A file that is not there is empty.
    ///
    /// - Parameter profile: goes before `AWS_PROFILE`.
    /// - Throws: `accessDenied` when a file can't be read.
    public static func load(_ environment: AWSEnvironment = .process, profile: String? = nil) async throws
        -> AWSProfiles
    {
        AWSProfiles(
            credentials: try await file(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials", .credentials),
            config: try await file(environment, "AWS_CONFIG_FILE", "config", .config),
            selected: profile ?? environment["AWS_PROFILE"]
        )
    }

    init(credentials: ProfileFile, config: ProfileFile, selected: String?) {
        self.credentials = credentials
        self.config = config
        self.selected = selected ?? "default"
        isNamed = selected != nil
    }

    /// A setting of a profile, such as `region`; `nil` when it is missing or empty.
    ///
    /// - Parameter profile: `nil` for the selected one.
    public func setting(_ name: String, of profile: String? = nil) -> String? {
        let profile = profile ?? selected
        let value = credentials.profiles[profile]?[name] ?? config.profiles[profile]?[name]
        return value?.isEmpty ?? true ? nil : value
    }

    func has(_ profile: String) -> Bool {
        credentials.profiles[profile] != nil || config.profiles[profile] != nil
    }

    private static func file(
        _ environment: AWSEnvironment,
        _ variable: String,
        _ name: String,
        _ kind: ProfileFile.Kind
    ) async throws -> ProfileFile {
        let home = environment["HOME"]
        guard var path = environment[variable] ?? home.map({ $0 + "/.aws/" + name }) else { return ProfileFile() }
        if path.hasPrefix("~/"), let home { path = home + path.dropFirst() }
        guard let text = try await SmallFile.text(path, what: "the file of AWS profiles") else { return ProfileFile() }
        return ProfileFile(text, kind)
    }
}
