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

    /// The one that is named, or else the only one.
    func profileName(in folder: ProfileFolder) throws -> String {
        if let name { return name }
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
        let folder = try Self.folder()
        let name = try profileName(in: folder)
        let profile = try asUsage { try folder.read(name) }
        let key = try await profile.key.deviceKey(environment: { Environment.value($0) })
        return try await withProviderConnection(
            profile,
            key: key,
            purpose: purpose,
            agent: HawserVersion.text,
            onProfileChange: { await Self.keep($0, as: name, in: folder) },
            { try await body($0, profile) }
        )
    }

    /// Writes down what is new of a provider, for the next time.
    static func keep(_ profile: ProviderProfile, as name: String, in folder: ProfileFolder) async {
        do {
            try await BlockingExecutor.shared.run { () throws in try folder.write(profile, as: name) }
        } catch {
            Console.shared.warning("warning: what is new of the provider can't be kept: " + Failure.text(error))
        }
    }
}
