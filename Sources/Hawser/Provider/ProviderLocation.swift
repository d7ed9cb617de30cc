import HawserControl
import HawserFormat

/// A repository at a provider, as users write it: `provider:NAME` or `provider:NAME/REPOSITORY`.
public struct ProviderLocation: Hashable, Sendable, CustomStringConvertible {
    /// What `hawser login` called the provider.
    public var profile: String
    /// `nil`: the only one.
    public var repository: String?
    /// Into whose folder a machine of the tenant wants, to restore, check or prune; `nil`: its own. Not in the text.
    public var subtenant: String?

    public static let scheme = "provider:"

    public init(profile: String, repository: String? = nil, subtenant: String? = nil) {
        self.profile = profile
        self.repository = repository
        self.subtenant = subtenant
    }

    /// - Throws: `invalidArgument`, with an example of what is right.
    public init(parsing text: String) throws {
        let parts = text.dropFirst(Self.scheme.count).split(
            separator: "/",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        guard text.hasPrefix(Self.scheme), let name = parts.first, ProfileFolder.isValid(name: String(name)),
            parts.count == 1 || !parts[1].isEmpty
        else {
            throw HawserError(
                .invalidArgument,
                "This is no repository at a provider: write «provider:NAME», with the name that «hawser login» showed, or "
                    + "«provider:NAME/REPOSITORY».",
                place: text
            )
        }
        self.init(profile: String(name), repository: parts.count == 2 ? String(parts[1]) : nil)
    }

    public var description: String {
        Self.scheme + profile + (repository.map { "/" + $0 } ?? "")
    }
}
