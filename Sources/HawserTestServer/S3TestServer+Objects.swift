public import HawserFormat
import HawserTesting
import NIOCore

/// What a test may see and do behind the back of the clients.
extension S3TestServer {
    /// Bytes of all objects.
    public var bytesStored: Int { service.table.stored }

    /// In the order of their bytes; `nil` when there is no such bucket.
    public func keys(in bucket: String, prefix: String = "") -> [String]? {
        try? service.table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.keys.filter { $0.hasPrefix(ObjectPath(prefix)) }.map(\.text)
        }
    }

    /// The bytes of an object; `nil` when there is none.
    public func object(_ key: String, in bucket: String) async throws -> [UInt8]? {
        guard let object = stored(key, bucket) else { return nil }
        switch object.content {
        case .memory(let buffer):
            return Array(buffer.readableBytesView)
        case .file(let path):
            let file = Answer.Body.file(try OpenFile(reading: path), 0..<object.length)
            return Array(try await file.collected().readableBytesView)
        }
    }

    /// Puts an object there, or another in its place.
    public func store(_ key: String, _ bytes: [UInt8], in bucket: String) async throws {
        let now = configuration.now()
        let attributes = ObjectAttributes(
            length: bytes.count,
            etag: hexadecimal(ObjectName(hashOf: bytes).bytes.prefix(16)),
            seconds: now.seconds,
            nanoseconds: now.nanoseconds,
            headers: [:],
            retention: nil
        )
        let receiver = try await service.table.makeReceiver(bucket, configuration.storage, capacity: bytes.count)
        try await receiver.append(.init(bytes: bytes))
        try await receiver.store(ObjectPath(key), attributes, BucketTable.Condition(), now: now)
    }

    public func remove(_ key: String, in bucket: String) async throws {
        try service.table.delete(bucket, ObjectPath(key), now: configuration.now()) { object throws(ServiceError) in
            try object.removeContent()
        }
    }

    /// Shows an object again that was deleted in a bucket with versions.
    public func removeMarker(of key: String, in bucket: String) throws {
        let path = ObjectPath(key)
        let marker = try service.table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.versions[path]?.last.flatMap { $0.object == nil ? $0.id : nil }
        }
        guard let marker else { return }
        try service.table.delete(bucket, path, version: marker, now: configuration.now()) { _ throws(ServiceError) in }
    }

    /// Versions and delete markers of an object, in a bucket that has them.
    public func versions(of key: String, in bucket: String) -> Int {
        let count = try? service.table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.versions[ObjectPath(key)]?.count
        }
        return (count ?? nil) ?? 0
    }

    /// Until when an object is locked; `nil` when it isn't.
    public func lockEnd(of key: String, in bucket: String) -> Timestamp? {
        stored(key, bucket)?.attributes.retention.flatMap { Timestamp(extended: $0.until) }
    }

    /// Has the lock of an object end at once, as if time had passed.
    public func endLock(of key: String, in bucket: String) {
        service.table.endLock(bucket, ObjectPath(key))
    }

    /// A multipart upload that nobody ends.
    public func begin(upload key: String, parts: [Int], in bucket: String, at begun: Timestamp) {
        let id = Accounts.randomText(16)
        service.table.begin(.init(id: id, key: ObjectPath(key), parts: parts, begun: begun), in: bucket)
    }

    /// Keys of uploads that were not ended.
    public func uploads(in bucket: String) -> [String] {
        let found = try? service.table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.uploads.map(\.key.text)
        }
        return found ?? []
    }

    /// Changes one bit of an object, as damage would.
    public func flip(bit: Int, of key: String, in bucket: String) async throws {
        guard let bytes = try await object(key, in: bucket) else { throw ServiceError.noSuchKey }
        try await store(key, Corpus.flipping(bit: bit, of: bytes), in: bucket)
    }

    private func stored(_ key: String, _ bucket: String) -> StoredObject? {
        try? service.table.withBucket(bucket) { bucket throws(ServiceError) in bucket.objects[ObjectPath(key)] }
    }
}
