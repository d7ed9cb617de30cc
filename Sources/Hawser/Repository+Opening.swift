extension Repository {
    /// Makes a repository at a location. A folder is created when it is missing; a bucket must be there, and what it can
    /// do is found out and written down.
    ///
    /// - Parameters:
    ///   - password: opens it; any bytes, as they are. Without it nothing can be restored.
    ///   - origin: a repository whose secrets for cutting and naming chunks are taken over, so that equal data is found to be
    ///     equal when snapshots are copied between the two.
    ///   - lock: what a backup needs is locked against deletion, for as long as it says.
    /// - Throws: `repositoryExists`, `unsupported`, or what the storage throws.
    public static func create(
        at location: RepositoryLocation,
        password: Secret,
        origin: Repository? = nil,
        lock: ObjectLock? = nil
    ) async throws {
        let storage = try await location.storage(creating: true)
        try await create(in: RetryingStore(storage.store), storage, password: password, origin: origin, lock: lock)
    }

    /// Makes a repository in a storage that was opened, through layers of yours.
    ///
    /// - Parameter store: `storage.store`, with layers around it.
    public static func create(
        in store: any ObjectStore,
        _ storage: RepositoryStorage,
        password: Secret,
        origin: Repository? = nil,
        lock: ObjectLock? = nil
    ) async throws {
        try await create(at: storage.target(store), password: password, origin: origin, cost: .standard, lock: lock) {
            if let lock { return try await storage.adopt(lock).features }
            return try await storage.probe(.writing)?.features ?? []
        }
    }

    /// Makes a repository in a store of your own. Retries and limits are layers that you put around the store.
    ///
    /// - Parameter cost: of trying one password, for whoever has the repository and guesses.
    public static func create(
        in store: any ObjectStore,
        password: Secret,
        origin: Repository? = nil,
        cost: ScryptParameters = .standard
    ) async throws {
        try await create(at: TargetDataMover(store: store), password: password, origin: origin, cost: cost) { [] }
    }

    /// Makes a repository where a mover leads, such as at a provider (``withProviderTarget``).
    ///
    /// - Throws: as the others.
    public static func create(
        at target: TargetDataMover,
        password: Secret,
        origin: Repository? = nil
    ) async throws {
        try await create(at: target, password: password, origin: origin, cost: .standard) { [] }
    }

    private static func create(
        at target: TargetDataMover,
        password: Secret,
        origin: Repository?,
        cost: ScryptParameters,
        lock: ObjectLock? = nil,
        features: () async throws -> Set<String>
    ) async throws {
        let account = Account.current
        try await create(
            at: target,
            password: password,
            slot: KeySlot.Metadata(created: .now, username: account.user, hostname: account.host, label: []),
            secrets: origin?.config.secrets,
            cost: cost,
            lock: lock,
            features: features
        )
    }

    /// Opens the repository at a location. Deriving the key from the password takes about 0.3 s, on purpose.
    ///
    /// - Parameter cache: the directory where this machine keeps what makes it fast; `nil` keeps nothing, and every opening
    ///   reads the whole index.
    /// - Throws: `noRepository`, `wrongPassword`, `damaged`, `unsupported`, or what the storage throws.
    public static func open(
        at location: RepositoryLocation,
        password: Secret,
        cache: String? = nil
    ) async throws -> Repository {
        let storage = try await location.storage()
        return try await open(in: RetryingStore(storage.store), storage, password: password, cache: cache)
    }

    /// Opens the repository in a storage that was opened, through layers of yours.
    ///
    /// - Parameter store: `storage.store`, with layers around it.
    public static func open(
        in store: any ObjectStore,
        _ storage: RepositoryStorage,
        password: Secret,
        cache: String? = nil
    ) async throws -> Repository {
        let repository = try await open(at: storage.target(store), password: password, cacheRoot: cache)
        // Until here nothing was written.
        storage.adopt(repository.config)
        return repository
    }

    /// Opens the repository in a store of your own. Retries and limits are layers that you put around the store.
    ///
    /// What is stored this way gets no object lock, also in a repository that has them: open that by its location.
    ///
    /// - Parameter access: how the store is best used.
    public static func open(
        in store: any ObjectStore,
        access: StorageAccess = .local,
        password: Secret,
        cache: String? = nil
    ) async throws -> Repository {
        try await open(at: TargetDataMover(store: store, access: access), password: password, cacheRoot: cache)
    }
}
