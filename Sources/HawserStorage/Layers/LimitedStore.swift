public import HawserFormat

/// Lets at most so many requests run at one time; the others wait in the order in which they came.
public struct LimitedStore: ObjectStore {
    private let base: any ObjectStore
    private let slots: AsyncSemaphore

    /// - Parameter requests: above 0.
    public init(_ base: any ObjectStore, requests: Int) {
        self.base = base
        slots = AsyncSemaphore(total: requests)
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        try await slots.withTaken { try await base.put(key, bytes, sha256: sha256) }
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await slots.withTaken { try await base.get(key, range: range) }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await slots.withTaken { try await base.head(key) }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await slots.withTaken { try await base.list(prefix: prefix, after: after, limit: limit) }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await slots.withTaken { try await base.delete(keys) }
    }
}
