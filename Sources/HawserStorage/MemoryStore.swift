public import HawserFormat
import Synchronization

/// Objects in memory, for tests and for repositories that need not outlive the process.
public final class MemoryStore: ObjectStore {
    private struct State {
        var objects: [ObjectKey: (bytes: [UInt8], stored: Timestamp?)] = [:]
        /// Ascending.
        var keys: [ObjectKey] = []

        /// The index of the first key that is not below `key`.
        func position(of key: ObjectKey) -> Int {
            var range = keys.startIndex..<keys.endIndex
            while !range.isEmpty {
                let middle = range.lowerBound + range.count / 2
                range = keys[middle] < key ? middle + 1..<range.upperBound : range.lowerBound..<middle
            }
            return range.lowerBound
        }
    }

    private let state = Mutex(State())
    private let now: @Sendable () -> Timestamp?

    /// - Parameter now: gives the times at which objects are said to be stored.
    public init(now: @escaping @Sendable () -> Timestamp? = { nil }) {
        self.now = now
    }

    /// Of all objects, bytes.
    public var totalLength: Int {
        state.withLock { $0.objects.values.reduce(0) { $0 + $1.bytes.count } }
    }

    public var count: Int { state.withLock { $0.keys.count } }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        try Task.checkCancellation()
        guard bytes.count <= maximumObjectLength else {
            throw HawserError(.invalidArgument, "The object is longer than any may be.", place: key.path)
        }
        let stored = now()
        return try state.withLock { state in
            if let existing = state.objects[key] {
                if existing.bytes == bytes { return .existed }
                throw HawserError(
                    key.name == nil ? .conflict : .damaged,
                    "Another object of this name exists.",
                    place: key.path
                )
            }
            state.keys.insert(key, at: state.position(of: key))
            state.objects[key] = (bytes, stored)
            return .created
        }
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try Task.checkCancellation()
        guard let bytes = state.withLock({ $0.objects[key]?.bytes }) else {
            throw HawserError(.notFound, "There is no such object.", place: key.path)
        }
        guard let range else { return bytes }
        try range.checkBounds(length: bytes.count, place: key.path)
        return Array(bytes[range])
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try Task.checkCancellation()
        return state.withLock { state in
            state.objects[key].map { ObjectInfo(key: key, length: $0.bytes.count, stored: $0.stored) }
        }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try Task.checkCancellation()
        guard (1...ObjectListing.pageSize).contains(limit) else {
            throw HawserError(.invalidArgument, "A list has 1 to \(ObjectListing.pageSize) objects, not \(limit).")
        }
        return state.withLock { state in
            var index = after.map { state.position(of: $0) } ?? 0
            var page: [ObjectInfo] = []
            while index < state.keys.count, page.count < limit {
                let key = state.keys[index]
                index += 1
                guard key != after, key.path.hasPrefix(prefix), let object = state.objects[key] else { continue }
                page.append(ObjectInfo(key: key, length: object.bytes.count, stored: object.stored))
            }
            return page
        }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try Task.checkCancellation()
        state.withLock { state in
            for key in keys where state.objects.removeValue(forKey: key) != nil {
                state.keys.remove(at: state.position(of: key))
            }
        }
    }

    /// Changes the bytes of an object, as damage would; for tests.
    public func replace(_ key: ObjectKey, with bytes: [UInt8]) {
        state.withLock { state in
            state.objects[key]?.bytes = bytes
        }
    }
}
