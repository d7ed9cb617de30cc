public import HawserFormat
import Synchronization

/// What went through a `MeteredStore`, counted since it was made.
public struct StoreMetrics: Hashable, Sendable {
    public struct Counter: Hashable, Sendable {
        /// Requests that ended, in whatever way.
        public var requests = 0
        /// Those of them that threw, cancelled ones included.
        public var failures = 0
        /// The sum of all requests' durations; larger than the time that passed when they ran side by side.
        public var time = Duration.zero
    }

    private var counters: [StoreOperation: Counter] = [:]
    /// Of objects that were created.
    public var bytesUploaded = 0
    public var bytesDownloaded = 0
    public var objectsCreated = 0
    /// Puts that found the object there.
    public var objectsExisted = 0
    /// Keys whose deletion succeeded, whether there was an object or not.
    public var objectsDeleted = 0

    public init() {}

    public subscript(operation: StoreOperation) -> Counter {
        get { counters[operation] ?? Counter() }
        set { counters[operation] = newValue }
    }

    public var requests: Int { counters.values.reduce(0) { $0 + $1.requests } }
    public var failures: Int { counters.values.reduce(0) { $0 + $1.failures } }
}

/// Counts requests, bytes, failures and time. Directly around a store it counts every attempt; around `RetryingStore`
/// it counts what the program asked for.
public final class MeteredStore: ObjectStore {
    private let base: any ObjectStore
    private let stopwatch: Stopwatch
    private let state = Mutex(StoreMetrics())

    public init(_ base: any ObjectStore, clock: any Clock<Duration> = ContinuousClock()) {
        self.base = base
        stopwatch = Stopwatch(clock)
    }

    public var metrics: StoreMetrics { state.withLock { $0 } }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        try await metered(.put) {
            try await base.put(key, bytes, sha256: sha256)
        } count: { metrics, result in
            switch result {
            case .created:
                metrics.objectsCreated += 1
                metrics.bytesUploaded += bytes.count
            case .existed:
                metrics.objectsExisted += 1
            }
        }
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await metered(.get) {
            try await base.get(key, range: range)
        } count: { metrics, bytes in
            metrics.bytesDownloaded += bytes.count
        }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await metered(.head) {
            try await base.head(key)
        }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await metered(.list) {
            try await base.list(prefix: prefix, after: after, limit: limit)
        }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await metered(.delete) {
            try await base.delete(keys)
        } count: { metrics, _ in
            metrics.objectsDeleted += keys.count
        }
    }

    private func metered<Result>(
        _ operation: StoreOperation,
        _ request: () async throws -> Result,
        count: (inout StoreMetrics, Result) -> Void = { _, _ in }
    ) async throws -> Result {
        let start = stopwatch.elapsed()
        let result = await Swift.Result { try await request() }
        let time = stopwatch.elapsed() - start
        state.withLock { metrics in
            metrics[operation].requests += 1
            metrics[operation].time += time
            switch result {
            case .success(let value): count(&metrics, value)
            case .failure: metrics[operation].failures += 1
            }
        }
        return try result.get()
    }
}
