/// The storage of a location, opened: its objects, how they are best used, and what is known of it.
///
/// Connections of S3 storage are closed when the last reference to the store goes, which a repository has that was opened
/// in it.
public struct RepositoryStorage: Sendable {
    /// Without layers: put retries, limits and metering around it.
    public let store: any ObjectStore
    public let access: StorageAccess
    private let s3: S3ObjectStore?

    init(store: any ObjectStore, access: StorageAccess, s3: S3ObjectStore? = nil) {
        self.store = store
        self.access = access
        self.s3 = s3
    }

    /// Finds out what the storage can do, by small objects that it stores and removes again; `nil` for a folder, of which
    /// everything is known.
    public func probe(_ depth: ProbeDepth) async throws -> StorageProfile? {
        guard let s3 else { return nil }
        let profile = try await s3.probe(depth)
        s3.adopt(profile)
        return profile
    }

    /// Uses what the repository's configuration says of the storage.
    func adopt(_ config: RepositoryConfig) {
        guard let s3, let profile = StorageProfile(features: config.header.features.info) else { return }
        s3.adopt(profile)
    }
}

extension RepositoryKeys {
    /// The keys of the repository in a storage that was opened, through layers of yours.
    ///
    /// - Parameter store: `storage.store`, with layers around it.
    public static func open(
        in store: any ObjectStore,
        _ storage: RepositoryStorage,
        password: Secret
    ) async throws -> RepositoryKeys {
        let keys = try await open(at: TargetDataMover(store: store, access: storage.access), password: password)
        storage.adopt(keys.config)
        return keys
    }
}

extension Repository {
    /// What is remembered of the storage; `nil` when it was never probed.
    public var storageProfile: StorageProfile? { StorageProfile(features: config.header.features.info) }

    /// Writes what a probe found into the repository's configuration, for all who use it.
    ///
    /// - Throws: `conflict` when somebody else changes the configuration at the same time.
    public func remember(_ profile: StorageProfile) async throws {
        try await setInfoFeatures(profile.features, replacing: StorageProfile.featurePrefix)
    }
}
