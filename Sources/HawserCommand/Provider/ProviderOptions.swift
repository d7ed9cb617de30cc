import ArgumentParser
import Glibc
import Hawser
import HawserControl

/// Which provider, of those that this machine has logged in to.
struct ProviderOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp("Which provider, where there are several: as «hawser login» called it.", valueName: "name")
    )
    var name: String?

    static func folder() throws -> ProfileFolder {
        try ProfileFolder.standard(environment: { Environment.value($0) })
    }

    /// The one that is named, or else that of `HAWSER_REPOSITORY`, or else the only one.
    func profileName(in folder: ProfileFolder) throws -> String {
        if let name { return name }
        if let repository = Environment.value("HAWSER_REPOSITORY"), repository.hasPrefix("provider:") {
            return String(repository.dropFirst("provider:".count).prefix { $0 != "/" })
        }
        let names = folder.names()
        guard let only = names.first else {
            throw HawserError(
                .notFound,
                "This machine has no provider: log in with the join string that the provider gave you (hawser login).",
                place: folder.path
            )
        }
        guard names.count == 1 else {
            throw ValidationError("There are several providers, name one: " + names.joined(separator: ", "))
        }
        return only
    }

    /// Opens a session for the time of `body`.
    func withConnection<Result: Sendable>(
        _ purpose: Purpose,
        _ body: @escaping @Sendable (ProviderConnection, ProviderProfile) async throws -> Result
    ) async throws -> Result {
        let access = try await Self.access(profileName(in: Self.folder()))
        return try await withProviderConnection(
            access.profile,
            key: access.key,
            purpose: purpose,
            agent: HawserVersion.text,
            onProfileChange: access.keep,
            { try await body($0, access.profile) }
        )
    }

    /// What a session with a provider takes.
    struct Access {
        var profile: ProviderProfile
        var key: DeviceKey
        /// Writes down what is new of the provider, for the next time.
        var keep: @Sendable (ProviderProfile) async -> Void
    }

    static func access(_ name: String) async throws -> Access {
        let folder = try folder()
        let profile = try asUsage { try folder.read(name) }
        let key = try await profile.key.deviceKey(environment: { Environment.value($0) })
        return Access(profile: profile, key: key) { await keep($0, as: name, in: folder) }
    }

    private static func keep(_ profile: ProviderProfile, as name: String, in folder: ProfileFolder) async {
        do {
            try await BlockingExecutor.shared.run { () throws in try folder.write(profile, as: name) }
        } catch {
            Console.shared.warning("warning: what is new of the provider can't be kept: " + Failure.text(error))
        }
    }
}
