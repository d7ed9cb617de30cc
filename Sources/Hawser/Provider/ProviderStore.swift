import HawserControl
public import HawserFormat
public import HawserStorage
import Logging

/// A tenant's folder at a provider, by the way that the provider grants: direct with temporary credentials, direct with
/// presigned requests, or through a gateway server. The way changes while it is used: when the provider changes the mode,
/// when credentials or tokens end, and when a way fails and there is another.
///
/// Deletions are asked of the provider in every mode. What he has not deleted yet, as with insider protection for some days,
/// is not listed any more: nobody is to count on it, or build on it.
public actor ProviderStore: ObjectStore {
    private let connection: ProviderConnection
    private let repository: ControlID
    private let opener: ProviderWayOpener
    private let stopwatch: Stopwatch
    private let onChange: @Sendable (_ reserves: Bool) async -> Void
    private let logger: Logger
    /// One grant at a time.
    private let turn = AsyncSemaphore(total: 1)
    private var machine: StateMachine
    /// To be deleted, by the prefix of a listing that is going on.
    private var doomed: [String: Set<ObjectKey>] = [:]
    /// By this store, which may hear of it later than it lists.
    private var hasDeleted = false

    /// - Parameter onChange: another way has been opened; whether this machine leases what it stores by it.
    init(
        _ connection: ProviderConnection,
        repository: ControlID,
        purpose: Purpose,
        settings: Settings,
        logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(),
        onChange: @escaping @Sendable (_ reserves: Bool) async -> Void
    ) {
        self.connection = connection
        self.repository = repository
        self.logger = logger
        self.onChange = onChange
        stopwatch = Stopwatch(clock)
        machine = StateMachine(settings: settings)
        opener = ProviderWayOpener(connection: connection, repository: repository, purpose: purpose, logger: logger)
    }

    /// The credentials of a way are no longer to be had: another grant leads on.
    static let changed = HawserError(.accessDenied, "The provider has changed the way to the storage.")

    // MARK: Ways

    /// The way in use; asks for one when there is none.
    func way() async throws -> ProviderWay {
        if let way = machine.current(now: stopwatch.elapsed()) { return way }
        return try await turn.withTaken {
            // Somebody else may have opened one meanwhile.
            if let way = machine.current(now: stopwatch.elapsed()) { return way }
            let way = try await open()
            machine.opened(way)
            await onChange(way.reserves)
            return way
        }
    }

    /// `nil` when none is open.
    var openWay: ProviderWay? {
        if case .open(let way) = machine.state { way } else { nil }
    }

    private func open() async throws -> ProviderWay {
        let number = machine.count + 1
        guard let avoid = machine.avoid(now: stopwatch.elapsed()) else {
            return try await opener.open(number: number, avoid: nil)
        }
        do {
            return try await opener.open(number: number, avoid: avoid)
        } catch let error as HawserError where error.code == .noWay {
            machine.couldNotAvoid()
            return try await opener.open(number: number, avoid: nil)
        }
    }

    private func using<Output: Sendable>(
        _ operation: @Sendable (any ObjectStore) async throws -> Output
    ) async throws -> Output {
        var attempt = 0
        while true {
            // A session that the provider has ended stores and reads nothing more, whatever its credentials allow.
            if case .ended(let error) = connection.status.phase { throw error }
            let way = try await way()
            attempt += 1
            do {
                let output = try await operation(way.store)
                machine.succeeded()
                return output
            } catch let error as HawserError {
                let verdict = machine.failed(way, error, attempt: attempt, now: stopwatch.elapsed())
                logger.debug(
                    "A way has failed",
                    metadata: [
                        "mode": "\(way.mode.rawValue)", "code": "\(error.code)", "verdict": "\(verdict)",
                    ]
                )
                guard verdict == .again else { throw error }
            }
        }
    }

    /// Watches what the provider says of mode and credentials, until the task is cancelled.
    func watch() async {
        var mode: ConnectionMode?
        for await status in connection.statuses {
            guard let state = status.repository(repository) else { continue }
            if let before = mode, before != state.mode {
                logger.notice("The provider has changed the mode", metadata: ["mode": "\(state.mode.rawValue)"])
                machine.close()
            }
            mode = state.mode
            // Others were issued, or access was changed: another grant tells. What is on its way goes on.
            if case .open(let way) = machine.state, state.credentialsGeneration > way.generation.current {
                machine.close()
            }
        }
    }

    // MARK: Objects

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        try await using { try await $0.put(key, bytes, sha256: sha256) }
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await using { try await $0.get(key, range: range) }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await using { try await $0.head(key) }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        let doomed = try await doomed(prefix, isFirst: after == nil)
        var (found, after): ([ObjectInfo], ObjectKey?) = ([], after)
        while true {
            let (last, rest) = (after, limit - found.count)
            let page = try await using { try await $0.list(prefix: prefix, after: last, limit: rest) }
            found += page.filter { !doomed.contains($0.key) }
            after = page.last?.key
            if page.count < rest { self.doomed[prefix] = nil }
            if page.count < rest || found.count == limit { return found }
        }
    }

    private func doomed(_ prefix: String, isFirst: Bool) async throws -> Set<ObjectKey> {
        if !isFirst, let known = doomed[prefix] { return known }
        // Then the provider has been heard.
        _ = try await way()
        guard hasDeleted || connection.status.repository(repository)?.hasPendingDeletions ?? false else { return [] }
        let keys = try await connection.pendingDeletions(prefix: prefix, repository: repository)
        doomed[prefix] = keys
        return keys
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        var rest = keys[...]
        while !rest.isEmpty {
            let batch = rest.prefix(ControlAPI.mostKeys)
            let answer = try await connection.delete(batch.map(\.path), repository: repository)
            if answer.waiting > 0 {
                hasDeleted = true
                logger.info("The provider deletes later", metadata: ["objects": "\(answer.waiting)"])
            }
            rest = rest.dropFirst(batch.count)
        }
    }
}
