public import HawserFormat
public import HawserStorage

/// What a target mover has done so far.
public struct TransferCounters: Hashable, Sendable {
    public var objectsStored = 0
    /// Of objects that this mover created.
    public var bytesStored = 0
    /// Objects that were there already.
    public var objectsFound = 0
    /// Stores that threw.
    public var failures = 0
    public var objectsFetched = 0
    public var bytesFetched = 0
    public var objectsDeleted = 0

    public init() {}
}

/// Owns upload and fetch: an object store, the byte leases of the quota, and how many uploads run at one time.
///
/// Retries, bandwidth limits and metering are layers of the store that it is given.
public actor TargetDataMover: DataMoverTarget {
    private enum State {
        /// Can transition to: draining.
        case running
        /// Nothing new is stored; what is on its way goes on. Can transition to: finished.
        case draining([CheckedContinuation<Void, Never>])
        case finished
    }

    public nonisolated let access: StorageAccess
    public nonisolated let locks: (any LockingStore)?
    private nonisolated let objects: any ObjectStore
    private let leases: any ByteLeases
    private let uploads: AsyncSemaphore
    private var state = State.running
    /// Calls of `store` that have begun and not ended.
    private var storing = 0

    public private(set) var counters = TransferCounters()

    /// - Parameter locks: what can lock the objects of `store`.
    public init(
        store: any ObjectStore,
        leases: any ByteLeases = UnlimitedLeases(),
        access: StorageAccess = .local,
        locks: (any LockingStore)? = nil
    ) {
        objects = store
        self.leases = leases
        self.access = access
        self.locks = locks
        uploads = AsyncSemaphore(total: access.parallelUploads)
    }

    public func store(_ object: SealedObject) async throws -> StoreReceipt {
        try checkRunning(object.key)
        try Self.check(object)
        storing += 1
        defer { endStore() }
        do {
            return try await uploads.withTaken { try await storeWithLease(object) }
        } catch {
            counters.failures += 1
            throw error
        }
    }

    private func storeWithLease(_ object: SealedObject) async throws -> StoreReceipt {
        // It may have waited long for its turn.
        try checkRunning(object.key)
        let lease = try await leases.reserve(object.length, for: object.key)
        let result: PutResult
        do {
            switch object.key.kind {
            case .snapshot, .checkpoint: try await leases.permit(object.key, replacing: object.replaced)
            default: break
            }
            result = try await Self.put(object, into: objects)
        } catch {
            await leases.release(lease)
            throw error
        }
        switch result {
        case .created:
            await leases.commit(lease)
            counters.objectsStored += 1
            counters.bytesStored += object.length
        case .existed:
            await leases.release(lease)
            counters.objectsFound += 1
        }
        return StoreReceipt(key: object.key, length: object.length, result: result)
    }

    // Concurrent, so that a store's work on the bytes does not hold the actor.
    @concurrent
    private static func put(_ object: SealedObject, into store: any ObjectStore) async throws -> PutResult {
        let result = try await store.put(object.key, object.bytes, sha256: object.sha256)
        guard result == .existed else { return result }
        // Some storages keep what an upload that broke off had sent: only the right length counts as stored.
        guard let info = try await store.head(object.key) else {
            throw HawserError(
                .unavailable,
                "The storage says that the object exists, and that it does not.",
                place: object.key.path,
                isRetryable: true
            )
        }
        guard info.length == object.length else {
            throw HawserError(
                object.key.name == nil ? .conflict : .damaged,
                "The storage holds \(info.length) bytes of an object of \(object.length). Run `hawser check`.",
                place: object.key.path
            )
        }
        return result
    }

    private static func check(_ object: SealedObject) throws {
        if let name = object.key.name, name != object.sha256 {
            throw HawserError(
                .internalError,
                "An object is not called by its own hash; nothing was stored. Please report this.",
                place: object.key.path
            )
        }
        guard object.length > 0, object.length <= maximumObjectLength else {
            throw HawserError(
                .invalidArgument,
                "An object has 1 to \(maximumObjectLength) bytes, not \(object.length).",
                place: object.key.path
            )
        }
    }

    public func fetch(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        let bytes = try await Self.get(key, range, from: objects)
        counters.objectsFetched += 1
        counters.bytesFetched += bytes.count
        return bytes
    }

    @concurrent
    private static func get(
        _ key: ObjectKey,
        _ range: Range<Int>?,
        from store: any ObjectStore
    ) async throws -> [UInt8] {
        let bytes = try await store.get(key, range: range)
        guard range == nil || bytes.count == range?.count else {
            throw HawserError(
                .unavailable,
                "The storage gave \(bytes.count) bytes instead of \(range?.count ?? 0).",
                place: key.path,
                isRetryable: true
            )
        }
        return bytes
    }

    public nonisolated func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await objects.head(key)
    }

    public nonisolated func list(prefix: String) -> ObjectListing {
        objects.objects(prefix: prefix)
    }

    public nonisolated var time: Timestamp? { leases.time ?? locks?.storageTime }

    public nonisolated func receipts() async throws -> [ObjectName: SnapshotReceipt]? {
        try await leases.receipts()
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await objects.delete(keys)
        counters.objectsDeleted += keys.count
    }

    /// Takes no more objects and returns when those on their way are stored or have failed, cancelled or not.
    public func finish() async {
        switch state {
        case .running where storing == 0, .draining where storing == 0:
            state = .finished
        case .running:
            await withCheckedContinuation { state = .draining([$0]) }
        case .draining(let waiting):
            await withCheckedContinuation { state = .draining(waiting + [$0]) }
        case .finished:
            break
        }
    }

    private func endStore() {
        storing -= 1
        guard storing == 0, case .draining(let waiting) = state else { return }
        state = .finished
        for continuation in waiting { continuation.resume() }
    }

    private func checkRunning(_ key: ObjectKey) throws {
        switch state {
        case .running: return
        case .draining, .finished:
            throw HawserError(.unavailable, "The transfer has been ended; this was not stored.", place: key.path)
        }
    }
}
