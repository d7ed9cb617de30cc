public import HawserControl
import HawserFormat
public import HawserStorage
public import HawserTransfer
public import Logging

/// Opens a session at a provider for the time of `body`, with a target mover that stores into the tenant's folder there by
/// the way that the provider grants, under the quota that he gives.
///
/// ```swift
/// try await withProviderTarget(profile, key: key, purpose: .backup, agent: "agent 1.0") { target in
///     let repository = try await Repository.open(at: target, password: password, cacheRoot: cache)
///     try await repository.backup(FileTreeSource(paths))
/// }
/// ```
///
/// - Parameters:
///   - profile: what `Registration` or `hawser login` has made; `ProfileFolder` reads it.
///   - repository: its name at the provider; `nil` when there is only one.
///   - purpose: decides what the session may do; deletions want `prune`.
///   - subtenant: into whose folder, for `restore`, `check` and `prune`; `nil`: the machine's own.
///   - agent: name and version of the program, shown to the provider.
///   - onProfileChange: the provider has named other gateways or authorities: to be kept for the next time.
///   - layers: put around the store: retries, and limits within them.
/// - Throws: what `body` throws; why there is no session (any more), and then `body` was cancelled: `notSignedIn`,
///   `revoked`, `tenantDisabled`, `leaseOver`, `quotaExceeded`, `tooManySessions`, `maintenance`; `notFound` when there is no
///   such repository or subtenant, `accessDenied` when the provider does not let the machine into its folder.
public func withProviderTarget<Result: Sendable>(
    _ profile: ProviderProfile,
    key: DeviceKey,
    repository name: String? = nil,
    purpose: Purpose,
    subtenant: String? = nil,
    agent: String,
    settings: ProviderStore.Settings = .init(),
    logger: Logger = Logger(label: "hawser.provider"),
    onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void = { _ in },
    layers: @escaping @Sendable (any ObjectStore) throws -> any ObjectStore = { RetryingStore($0) },
    _ body: @escaping @Sendable (TargetDataMover) async throws -> Result
) async throws -> Result {
    try await withProviderConnection(
        profile,
        key: key,
        purpose: purpose,
        subtenant: subtenant,
        agent: agent,
        logger: logger,
        onProfileChange: onProfileChange
    ) { connection in
        let repository = try await connection.repository(called: name)
        let limited = { @Sendable (store: any ObjectStore) in try layers(connection.throttled(store)) }
        guard !purpose.isReadOnly else {
            let store = ProviderStore(
                connection,
                repository: repository,
                purpose: purpose,
                settings: settings,
                logger: logger
            ) { _ in }
            return try await store.whileWatching {
                try await body(TargetDataMover(store: limited(store), access: .remote))
            }
        }
        var quota = QuotaMonitor.Settings()
        // Until a way is open nobody knows who leases.
        quota.startsLeasing = false
        return try await withQuotaMonitor(connection, repository: repository, settings: quota) { monitor in
            let store = ProviderStore(
                connection,
                repository: repository,
                purpose: purpose,
                settings: settings,
                logger: logger
            ) { await monitor.setLeasing($0) }
            return try await store.whileWatching {
                let leases = ProviderLeases(monitor: monitor, store: store)
                return try await body(TargetDataMover(store: limited(store), leases: leases, access: .remote))
            }
        }
    }
}

extension ProviderStore {
    fileprivate func whileWatching<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.watch() }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}

extension ProviderConnection {
    /// Goes no faster than all machines of the tenant together may: in direct mode nobody else holds this one to
    /// it, in gateway mode the gateway server does anyway.
    fileprivate nonisolated func throttled(_ store: any ObjectStore) throws -> any ObjectStore {
        try ThrottledStore(
            store,
            limits: .none,
            update: {
                let rate = self.status.state?.bandwidth
                return ThrottledStore.Limits(upload: rate, download: rate)
            }
        )
    }

    /// Waits for the session.
    func repository(called name: String?) async throws -> ControlID {
        guard let state = try await waitUntilConnected().state else {
            throw HawserError(.unavailable, "The provider's server did not say what there is.")
        }
        return try state.repository(called: name).repository
    }
}

extension SessionState {
    /// - Throws: `notFound`, naming those that there are; `invalidArgument` when there are several and none was named.
    fileprivate func repository(called name: String?) throws -> RepositoryState {
        let names = repositories.map(\.name).joined(separator: ", ")
        guard let name else {
            guard let only = repositories.first else {
                throw HawserError(.notFound, "The provider has not given this tenant a repository yet.")
            }
            guard repositories.count == 1 else {
                throw HawserError(
                    .invalidArgument,
                    "There are several repositories at the provider, name one: \(names)"
                )
            }
            return only
        }
        guard let found = repositories.first(where: { $0.name == name }) else {
            throw HawserError(
                .notFound,
                "The provider has no repository of this name for you; there are: \(names)",
                place: name
            )
        }
        return found
    }
}
