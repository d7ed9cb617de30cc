/// What a repository's chunks, ids and tree pages are cut and named with, for its whole life.
///
/// Repositories that share them deduplicate when one is copied to the other.
public struct RepositorySecrets: Sendable, Equatable {
    /// Keys the chunker's table.
    public var chunker: Secret
    /// From which the id key of each chunk type is expanded.
    public var id: Secret
    /// Keys the cuts between tree pages.
    public var tree: Secret

    /// - Parameters: 32 bytes each.
    public init(chunker: Secret, id: Secret, tree: Secret) {
        self.chunker = chunker
        self.id = id
        self.tree = tree
    }

    /// Three independent secrets.
    public static func random() -> RepositorySecrets {
        RepositorySecrets(chunker: .random(), id: .random(), tree: .random())
    }
}
