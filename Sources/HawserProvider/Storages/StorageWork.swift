import CoreMetrics
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging
import Synchronization

/// What the provider's server does in its storages: it deletes what tenants asked to delete, looks up what became of
/// tickets and leases, compares folders with the ledger, and clears up after removed tenants.
///
/// Each job is a function that does what is due by the database's clock and can be broken off at any line: what was not
/// noted as done is done again. Storages are worked on side by side, so that one that is down delays nobody else's; after
/// a failure a storage, or only a folder of it, is left alone for a while.
final class StorageWork: Sendable {
    /// Where a folder lies.
    struct Place: Sendable {
        var folder: FolderRecord
        var storage: StorageRecord
    }

    private struct State {
        var pauses = StoragePauses()
        /// Between listings of a folder that sessions disturb.
        var disturbed = StoragePauses()
        /// Taken by whoever deletes or lists in a folder.
        var folders: [ControlID: AsyncSemaphore] = [:]
        /// `job/storage` that run now.
        var running: Set<String> = []
        /// One listing of a storage at a time.
        var listings: [ControlID: AsyncSemaphore] = [:]
        /// Of storages that have refused a request for its time, and not done without since.
        var clocksAhead: [ControlID: Duration] = [:]
    }

    // Requests to one storage at a time, for one job.
    static let width = 16

    let database: ConfigurationDatabase
    let settings: StorageWorkSettings
    let logger: Logger
    let issuer: CredentialIssuer
    let metrics = StorageMetrics()
    private let state = Mutex(State())

    init(_ database: ConfigurationDatabase, _ settings: StorageWorkSettings = StorageWorkSettings(), logger: Logger) {
        self.database = database
        self.settings = settings
        self.logger = logger
        issuer = CredentialIssuer(database, logger: logger)
    }

    /// Does everything when it is due, until cancelled. A pass does not wait for the one before: what is still being
    /// worked on is passed over.
    func run() async {
        // Deletions and tickets soon, listings in their own time.
        let (quick, slow) = (Duration.seconds(5), 12)
        await withDiscardingTaskGroup { group in
            var pass = 0
            while !Task.isCancelled {
                group.addTask { await self.runDueDeletions() }
                group.addTask { await self.settleTickets() }
                group.addTask { await self.revokeCredentials() }
                if pass % slow == 0 {
                    group.addTask { await self.reconcileEnded() }
                    group.addTask { await self.reconcileDaily() }
                    group.addTask { await self.removeTenants() }
                }
                pass += 1
                try? await Task.sleep(for: quick)
            }
            group.cancelAll()
        }
    }

    // MARK: Who works where

    /// All folders, by id.
    func places() async throws -> [ControlID: Place] {
        let storages = Dictionary(uniqueKeysWithValues: try await database.storages().map { ($0.id, $0) })
        let repositories = Dictionary(uniqueKeysWithValues: try await database.repositories().map { ($0.id, $0) })
        var places: [ControlID: Place] = [:]
        for folder in try await database.folders() {
            guard let storage = repositories[folder.repository].flatMap({ storages[$0.storage] }) else { continue }
            places[folder.id] = Place(folder: folder, storage: storage)
        }
        return places
    }

    func place(_ id: ControlID) async throws -> Place {
        let folder = try await database.folder(id)
        let repository = try await database.repository(folder.repository)
        return Place(folder: folder, storage: try await database.storage(repository.storage))
    }

    func isPaused(_ place: Place) -> Bool {
        let now = database.clock.steady
        return state.withLock {
            $0.pauses.isPaused(place.storage.id.text, at: now) || $0.pauses.isPaused(place.folder.id.text, at: now)
        }
    }

    func isDisturbed(_ place: Place) -> Bool {
        state.withLock { $0.disturbed.isPaused(place.folder.id.text, at: database.clock.steady) }
    }

    func noteQuiet(_ place: Place) { state.withLock { $0.disturbed.succeeded(place.folder.id.text) } }

    /// By how much this machine's clock is ahead of those of storages, negative when it is behind; where it is so much that
    /// they refused requests.
    var clocksAhead: [ControlID: Duration] { state.withLock { $0.clocksAhead } }

    /// Works on each storage for itself. Passes over one where the same job is at work.
    func byStorage(
        _ job: StorageJob,
        _ places: [Place],
        _ body: @escaping @Sendable (Place) async throws -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for (storage, places) in Dictionary(grouping: places, by: \.storage.id) {
                let name = "\(job.rawValue)/\(storage)"
                guard state.withLock({ $0.running.insert(name).inserted }) else { continue }
                group.addTask {
                    defer { _ = self.state.withLock { $0.running.remove(name) } }
                    for place in places where !Task.isCancelled && !self.isPaused(place) {
                        await self.attempt(job, place, body)
                    }
                }
            }
        }
    }

    private func attempt(
        _ job: StorageJob,
        _ place: Place,
        _ body: @Sendable (Place) async throws -> Void
    ) async {
        do {
            try await body(place)
            state.withLock {
                $0.pauses.succeeded(place.storage.id.text)
                $0.pauses.succeeded(place.folder.id.text)
            }
            metrics.succeeded(job, at: database.clock.wall)
        } catch is ListingDisturbed {
            let now = database.clock.steady
            state.withLock { $0.disturbed.failed(place.folder.id.text, at: now) }
            logger.debug("Sessions store in a folder; it is listed later", metadata: ["folder": "\(place.folder.id)"])
        } catch {
            failed(job, place, error)
        }
    }

    /// Leaves the folder alone for a while, and the whole storage where it does not answer.
    func failed(_ job: StorageJob, _ place: Place, _ error: any Error) {
        guard !Task.isCancelled, !(error is CancellationError) else { return }
        let isStorages = (error as? HawserError).map { $0.isRetryable || $0.code == .unavailable } ?? false
        let now = database.clock.steady
        state.withLock {
            $0.pauses.failed(place.folder.id.text, at: now)
            if isStorages { $0.pauses.failed(place.storage.id.text, at: now) }
        }
        metrics.failed(job)
        logger.warning(
            "Work on a storage failed; it is tried again later",
            metadata: [
                "job": "\(job.rawValue)", "storage": "\(place.storage.name)", "folder": "\(place.folder.id)",
                "error": "\(error)",
            ]
        )
    }

    /// Waits for whoever else is at work in the folder.
    func alone<Result>(in folder: ControlID, _ body: () async throws -> Result) async throws -> Result {
        let semaphore = state.withLock { Self.semaphore(folder, &$0.folders) }
        try await semaphore.take()
        defer { semaphore.give() }
        return try await body()
    }

    /// - Returns: `nil` when somebody else is at work in the folder.
    func unlessBusy<Result>(in folder: ControlID, _ body: () async throws -> Result) async throws -> Result? {
        let semaphore = state.withLock { Self.semaphore(folder, &$0.folders) }
        guard semaphore.used == 0 else { return nil }
        return try await alone(in: folder, body)
    }

    /// Waits for other listings of the storage.
    func listing<Result>(_ place: Place, _ body: () async throws -> Result) async throws -> Result {
        let semaphore = state.withLock { Self.semaphore(place.storage.id, &$0.listings) }
        try await semaphore.take()
        defer { semaphore.give() }
        return try await body()
    }

    static func semaphore(_ id: ControlID, _ all: inout [ControlID: AsyncSemaphore]) -> AsyncSemaphore {
        let semaphore = all[id] ?? AsyncSemaphore(total: 1)
        all[id] = semaphore
        return semaphore
    }

    func withStore<Result>(_ place: Place, _ body: (S3ObjectStore) async throws -> Result) async throws -> Result {
        let store = try await database.store(
            place.storage,
            folder: place.folder.path(in: place.storage.settings),
            logger: logger
        )
        defer {
            let ahead = store.clockAhead
            state.withLock { $0.clocksAhead[place.storage.id] = ahead == .zero ? nil : ahead }
        }
        do {
            let result = try await body(store)
            await store.shutdown()
            return result
        } catch {
            await store.shutdown()
            throw error
        }
    }

    /// What a storage answered the server is the server's trouble, not the tenant's.
    static func trouble(_ error: any Error) -> any Error {
        guard let error = error as? HawserError else { return error }
        return HawserError(
            .unavailable,
            "The provider's storage does not answer as it should. Try again later.",
            cause: error,
            isRetryable: true,
            retryAfter: .seconds(5)
        )
    }

    /// As many at a time as `width`, in no order.
    static func each<Element: Sendable, Result: Sendable>(
        _ elements: some Sequence<Element>,
        _ body: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: Result.self) { group in
            var results: [Result] = []
            for (index, element) in elements.enumerated() {
                if index >= width, let result = try await group.next() { results.append(result) }
                group.addTask { try await body(element) }
            }
            for try await result in group { results.append(result) }
            return results
        }
    }
}

/// What is done in storages; a label of metrics.
enum StorageJob: String, CaseIterable, Sendable {
    case delete, settle, ended, daily, remove, revoke
}

struct StorageMetrics: Sendable {
    let deletedObjects = Counter(label: "hawser_storage_deleted_objects_total")
    let freedBytes = Counter(label: "hawser_storage_freed_bytes_total")
    let settledTickets = Counter(label: "hawser_storage_settled_tickets_total")
    let reconciledFolders = Counter(label: "hawser_storage_reconciled_folders_total")
    let abortedUploads = Counter(label: "hawser_storage_aborted_uploads_total")

    func succeeded(_ job: StorageJob, at wall: Moment) {
        Gauge(label: "hawser_storage_last_success_seconds", dimensions: [("job", job.rawValue)]).record(wall.seconds)
    }

    func failed(_ job: StorageJob) {
        Counter(label: "hawser_storage_failures_total", dimensions: [("job", job.rawValue)]).increment()
    }
}
