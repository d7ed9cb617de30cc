/// Where a repository is.
public struct RepositoryLocation: Hashable, Sendable, CustomStringConvertible {
    enum Place: Hashable, Sendable {
        case folder(String)
        case s3(S3URL, S3Settings)
        case provider(ProviderLocation)
    }

    let place: Place

    private init(_ place: Place) {
        self.place = place
    }

    /// A folder of this machine, or of a file server that is mounted.
    public static func folder(_ path: String) -> RepositoryLocation { RepositoryLocation(.folder(path)) }

    /// A folder in a bucket. Credentials, region and more come from where AWS' tools look for them, as far as `settings`
    /// doesn't have them.
    public static func s3(_ url: S3URL, settings: S3Settings = S3Settings()) -> RepositoryLocation {
        RepositoryLocation(.s3(url, settings))
    }

    /// A repository at a provider that this machine has logged in to: used in a session (``withProviderTarget``).
    public static func provider(_ location: ProviderLocation) -> RepositoryLocation {
        RepositoryLocation(.provider(location))
    }

    /// Whether it is in S3 storage.
    public var isS3: Bool {
        if case .s3 = place { true } else { false }
    }

    /// What `hawser --repository` takes: the path of a folder, `s3:` and what `S3URL` says, or `provider:NAME` and, where
    /// the provider gave several repositories, `/` and the repository's name.
    ///
    /// - Parameter s3: settings, if it is in S3 storage.
    /// - Throws: `invalidArgument` when it is empty or no location; `unsupported` for kinds of storage that this version
    ///   does not have. A folder of such a name is given as `./s3:name`.
    public init(parsing text: String, s3 settings: S3Settings = S3Settings()) throws {
        guard !text.isEmpty else {
            throw HawserError(.invalidArgument, "The repository's location is empty: give a folder or «s3:…».")
        }
        if text.hasPrefix(S3URL.scheme) {
            self.init(.s3(try S3URL(parsing: text), settings))
            return
        }
        if text.hasPrefix(ProviderLocation.scheme) {
            self.init(.provider(try ProviderLocation(parsing: text)))
            return
        }
        if let scheme = Self.schemes.first(where: { text.hasPrefix($0 + ":") }) {
            throw HawserError(
                .invalidArgument,
                "This version keeps repositories in folders, in S3 storage and at providers, not in «\(scheme):».",
                place: text
            )
        }
        self.init(.folder(text))
    }

    /// What stands before a colon in the locations of other storage, ours to come and those that other programs have.
    private static let schemes = [
        "azure", "sftp", "rest", "b2", "gs", "swift", "rclone", "http", "https", "ssh",
    ]

    /// As `init(parsing:)` takes it.
    public var description: String {
        switch place {
        case .folder(let path): path
        case .s3(let url, _): url.description
        case .provider(let location): location.description
        }
    }

    /// `nil` for other places.
    public var provider: ProviderLocation? {
        if case .provider(let location) = place { location } else { nil }
    }

    /// How it is best used.
    public var access: StorageAccess {
        switch place {
        case .folder: return .local
        case .provider: return .remote
        case .s3(_, let settings):
            var access = StorageAccess.remote
            access.parallelUploads = settings.connections ?? access.parallelUploads
            access.parallelFetches = settings.connections ?? access.parallelFetches
            return access
        }
    }

    /// The objects there. In S3 storage nothing is sent before the first request, and the bucket must be there.
    ///
    /// - Throws: `unsupported` for a provider, whose storage is reached in a session only.
    ///   `noRepository` when the folder does not exist, unless `creating`: then it and its parents are made.
    ///   `invalidArgument` and `accessDenied` when the settings of S3 storage can't be used.
    public func storage(creating: Bool = false) async throws -> RepositoryStorage {
        switch place {
        case .folder(let path):
            return RepositoryStorage(store: try await Self.folderStore(path, creating: creating), access: access)
        case .s3(let url, let settings):
            let store = try await S3ObjectStore.open(url, settings: settings)
            return RepositoryStorage(store: store, access: access, s3: store)
        case .provider:
            throw HawserError(
                .unsupported,
                "The storage of a provider is the provider's: this can't be done there.",
                place: description
            )
        }
    }

    private static func folderStore(_ path: String, creating: Bool) async throws -> FolderStore {
        do {
            return try await FolderStore.open(path, createIfMissing: creating)
        } catch let error as HawserError where error.code == .notFound {
            throw HawserError(
                .noRepository,
                "There is no repository: the folder does not exist. Make one with «hawser init».",
                place: path,
                cause: error
            )
        }
    }
}
