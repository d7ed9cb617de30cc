import HawserFormat
import Synchronization

/// All buckets and what is in them. Whatever decides about an object happens under one lock, so conditional puts are
/// atomic.
final class BucketTable: Sendable {
    struct Bucket {
        let hasObjectLock: Bool
        var hasVersions = false
        /// In a bucket that has them: of each key the oldest first, the last one being the object.
        var versions: [ObjectPath: [Version]] = [:]
        var nextVersion = 0
        var uploads: [Upload] = []
        var objects: [ObjectPath: StoredObject] = [:]
        /// Ascending.
        var keys: [ObjectPath] = []
        /// In the order in which they were put, the last ones.
        var newest: [ObjectPath] = []

        // As many as a page of a list has.
        static let newestLimit = 1000
    }

    /// What must hold of the object that is there when another is put.
    struct Condition {
        var mustNotExist = false
        var etag: String?

        init(mustNotExist: Bool = false, etag: String? = nil) {
            self.mustNotExist = mustNotExist
            self.etag = etag
        }
    }

    private struct State {
        var buckets: [String: Bucket]
        /// Bytes.
        var stored = 0
    }

    private let state: Mutex<State>
    private let quota: Int?
    private let quotaError: ServiceError

    init(_ configuration: S3TestServer.Configuration) {
        let buckets = configuration.buckets.map {
            ($0.name, Bucket(hasObjectLock: $0.hasObjectLock, hasVersions: $0.hasVersions))
        }
        state = Mutex(State(buckets: Dictionary(buckets) { first, _ in first }))
        quota = configuration.quota
        quotaError = ServiceError(configuration.behaviour.quotaError, "The quota is used up.")
    }

    /// Bytes of all objects.
    var stored: Int { state.withLock { $0.stored } }

    var names: [String] { state.withLock { $0.buckets.keys.sorted() } }

    /// `false` when it exists.
    func create(_ name: String, hasObjectLock: Bool) -> Bool {
        state.withLock { state in
            if state.buckets[name] != nil { return false }
            state.buckets[name] = Bucket(hasObjectLock: hasObjectLock)
            return true
        }
    }

    func withBucket<Result>(
        _ name: String,
        _ body: (borrowing Bucket) throws(ServiceError) -> Result
    ) throws(ServiceError) -> Result {
        try state.withLock { state throws(ServiceError) in
            guard let bucket = state.buckets[name] else { throw .noSuchBucket }
            return try body(bucket)
        }
    }

    /// Whether an object of this length could be put now: before its bytes have come.
    func check(_ bucket: String, _ key: ObjectPath, _ condition: Condition, length: Int, now: Timestamp)
        throws(ServiceError)
    {
        try state.withLock { state throws(ServiceError) in
            try check(state, bucket, key, condition, length: length, now: now)
        }
    }

    /// - Parameter place: brings the content to its place, while the lock is held.
    func put(
        _ bucket: String,
        _ key: ObjectPath,
        _ object: StoredObject,
        _ condition: Condition,
        now: Timestamp,
        place: () throws(ServiceError) -> Void
    ) throws(ServiceError) {
        try state.withLock { state throws(ServiceError) in
            try check(state, bucket, key, condition, length: object.length, now: now)
            try place()
            let hasVersions = state.buckets[bucket]?.hasVersions ?? false
            state.stored += object.length - (hasVersions ? 0 : state.buckets[bucket]?.objects[key]?.length ?? 0)
            state.buckets[bucket]?.put(key, object)
            if hasVersions { state.buckets[bucket]?.add(object, at: key, now: now) }
        }
    }

    /// Adds what a folder holds already.
    func restore(_ bucket: String, _ objects: [(ObjectPath, StoredObject)]) {
        state.withLock { state in
            if state.buckets[bucket] == nil { state.buckets[bucket] = Bucket(hasObjectLock: false) }
            for (key, object) in objects {
                state.buckets[bucket]?.put(key, object)
                state.stored += object.length
            }
        }
    }

    func begin(_ upload: Upload, in bucket: String) {
        state.withLock { $0.buckets[bucket]?.uploads.append(upload) }
    }

    func abort(_ bucket: String, upload id: String) {
        state.withLock { $0.buckets[bucket]?.uploads.removeAll { $0.id == id } }
    }

    /// - Parameters:
    ///   - version: that one for good; `nil`: the object, which a bucket with versions only hides.
    ///   - remove: removes the content, while the lock is held.
    func delete(
        _ bucket: String,
        _ key: ObjectPath,
        version: String? = nil,
        now: Timestamp,
        remove: (StoredObject) throws(ServiceError) -> Void
    ) throws(ServiceError) {
        try state.withLock { state throws(ServiceError) in
            // No second reference to the bucket, which would be copied then.
            guard let hasVersions = state.buckets[bucket]?.hasVersions else { throw .noSuchBucket }
            if hasVersions, let version {
                if let object = state.buckets[bucket]?.versions[key]?.first(where: { $0.id == version })?.object {
                    try Self.checkRetention(object, now: now)
                }
                guard let object = state.buckets[bucket]?.delete(version: version, of: key) else { return }
                state.stored -= object.length
                return try remove(object)
            }
            guard let object = state.buckets[bucket]?.objects[key] else { return }
            if hasVersions {
                state.buckets[bucket]?.add(nil, at: key, now: now)
                state.buckets[bucket]?.delete(key)
                return
            }
            try Self.checkRetention(object, now: now)
            try remove(object)
            state.stored -= object.length
            state.buckets[bucket]?.delete(key)
        }
    }

    func retain(_ bucket: String, _ key: ObjectPath, _ retention: Retention, _ end: Timestamp) throws(ServiceError) {
        try state.withLock { state throws(ServiceError) in
            guard state.buckets[bucket] != nil else { throw .noSuchBucket }
            guard let object = state.buckets[bucket]?.objects[key] else { throw .noSuchKey }
            guard state.buckets[bucket]?.hasObjectLock == true else {
                throw ServiceError(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
            }
            if let present = object.attributes.retention, let presentEnd = Timestamp(extended: present.until),
                presentEnd > end || present.mode == .compliance && retention.mode != .compliance
            {
                throw .accessDenied("forbidden by object lock")
            }
            state.buckets[bucket]?.retain(key, retention)
        }
    }

    func endLock(_ bucket: String, _ key: ObjectPath) {
        state.withLock { $0.buckets[bucket]?.retain(key, nil) }
    }

    private func check(
        _ state: borrowing State,
        _ bucket: String,
        _ key: ObjectPath,
        _ condition: Condition,
        length: Int,
        now: Timestamp
    ) throws(ServiceError) {
        guard let found = state.buckets[bucket] else { throw .noSuchBucket }
        let existing = found.objects[key]
        if condition.mustNotExist, existing != nil { throw .preconditionFailed }
        if let etag = condition.etag {
            guard let existing else { throw .noSuchKey }
            guard existing.attributes.etag == etag else { throw .preconditionFailed }
        }
        // In a bucket with versions what is there stays, as an older one.
        if let existing, !found.hasVersions { try Self.checkRetention(existing, now: now) }
        if let quota, state.stored - (existing?.length ?? 0) > quota - length { throw quotaError }
    }

    private static func checkRetention(_ object: StoredObject, now: Timestamp) throws(ServiceError) {
        if let retention = object.attributes.retention, !retention.isOver(at: now) {
            throw .accessDenied("forbidden by object lock")
        }
    }
}

extension BucketTable.Bucket {
    /// The index of the first key that is not below `key`.
    func position(of key: ObjectPath) -> Int {
        var range = keys.startIndex..<keys.endIndex
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = keys[middle] < key ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    mutating func put(_ key: ObjectPath, _ object: StoredObject) {
        insert(key, object)
        newest.append(key)
        // Halved now and then, rather than moved each time.
        if newest.count > 2 * Self.newestLimit { newest.removeFirst(Self.newestLimit) }
    }

    mutating func insert(_ key: ObjectPath, _ object: StoredObject) {
        if objects.updateValue(object, forKey: key) == nil { keys.insert(key, at: position(of: key)) }
    }

    mutating func delete(_ key: ObjectPath) {
        if objects.removeValue(forKey: key) != nil { keys.remove(at: position(of: key)) }
    }
}
