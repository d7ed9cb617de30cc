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
        guard let s3 else { return }
        if let profile = StorageProfile(features: config.header.features.info) { s3.adopt(profile) }
        if let lock = config.lock { s3.adopt(lock) }
    }

    /// Prepares for a repository whose objects are locked.
    ///
    /// - Returns: what was found out of the storage.
    /// - Throws: `unsupported` where objects can't be locked.
    func adopt(_ lock: ObjectLock) async throws -> StorageProfile {
        guard let s3 else {
            throw HawserError(.unsupported, "Only S3 storage has object locks, and this is none. Nothing was changed.")
        }
        let profile = try await s3.probe(.everything)
        guard profile.traits[.objectLock] == true else {
            let reason =
                profile.traits[.objectLock] == nil
                ? "The keys may not ask whether the bucket has object locks (s3:GetBucketObjectLockConfiguration)."
                : "The bucket has no object locks: they are switched on when a bucket is made, or in its settings."
            throw HawserError(.unsupported, reason + " Nothing was changed.")
        }
        s3.adopt(profile)
        s3.adopt(lock)
        return profile
    }

    func target(_ store: any ObjectStore) -> TargetDataMover {
        TargetDataMover(store: store, access: access, locks: s3)
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
        let keys = try await open(at: storage.target(store), password: password)
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
