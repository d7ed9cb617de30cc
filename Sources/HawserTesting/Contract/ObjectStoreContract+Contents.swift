import HawserFormat
import HawserStorage

extension ObjectStoreContract {
    static let contentChecks = [
        Check("an object that was put is got, headed and listed", roundTrip),
        Check("objects of all kinds and lengths come back as they were", kindsAndLengths),
        Check("a range gives exactly its bytes", ranges),
        Check("a range that is not within the object is refused", impossibleRanges),
        Check("an object that is not there is not found", missing),
        Check("a second put leaves what is there", secondPut),
        Check("a put of other bytes is refused", otherBytes),
        Check("a deleted object is gone and can be put again", needs: [.deletion], deletion),
        Check("deleting what is not there succeeds", needs: [.deletion], deletionOfNothing),
    ]

    @Sendable
    private static func roundTrip(_ store: any ObjectStore) async throws {
        let object = TestObject(length: 1_000, seed: 1)
        try requireEqual(await store.put(object), .created, "the first put")
        try requireEqual(await store.get(object.key, range: nil), object.bytes, "the bytes")
        try requireEqual(await store.head(object.key)?.length, 1_000, "the length")
        try requireEqual(await store.head(object.key)?.key, object.key, "the key")
        let list = try await store.list(prefix: "", after: nil, limit: 1_000)
        try requireEqual(list.map(\.key), [object.key], "the listed keys")
        try requireEqual(list.map(\.length), [1_000], "the listed lengths")
    }

    @Sendable
    private static func kindsAndLengths(_ store: any ObjectStore) async throws {
        // One byte, around a file system's block, and longer than one write or packet.
        let lengths = [1, 4_095, 4_096, 4_097, 65_537, 5 << 20 + 1]
        for (index, kind) in ObjectKind.allCases.enumerated() {
            let object = TestObject(kind, length: lengths[index % lengths.count], seed: UInt64(index))
            try requireEqual(await store.put(object), .created, "the put of \(kind)")
            let bytes = try await store.get(object.key, range: nil)
            try require(bytes == object.bytes, "\(kind) came back with other bytes.")
            try requireEqual(await store.head(object.key)?.length, object.bytes.count, "the length of \(kind)")
        }
    }

    @Sendable
    private static func ranges(_ store: any ObjectStore) async throws {
        let object = TestObject(length: 10_000, seed: 2)
        try await store.put(object)
        for range in [0..<1, 0..<10_000, 9_999..<10_000, 1..<2, 4_095..<4_097, 5_000..<10_000] {
            let bytes = try await store.get(object.key, range: range)
            try require(bytes == Array(object.bytes[range]), "\(range) gave other bytes.")
        }
    }

    @Sendable
    private static func impossibleRanges(_ store: any ObjectStore) async throws {
        let object = TestObject(length: 100, seed: 3)
        try await store.put(object)
        for range in [0..<101, 99..<101, 100..<101, 1_000..<2_000, 0..<Int.max, -1..<10] {
            try await requireError([.invalidArgument], "the range \(range) of 100 bytes") {
                _ = try await store.get(object.key, range: range)
            }
        }
    }

    @Sendable
    private static func missing(_ store: any ObjectStore) async throws {
        for kind in ObjectKind.allCases {
            let key = TestObject(kind, seed: 4).key
            try requireEqual(await store.head(key), nil, "the head of nothing")
            for range in [nil, 0..<1] {
                try await requireError([.notFound], "the get of nothing") {
                    _ = try await store.get(key, range: range)
                }
            }
        }
    }

    @Sendable
    private static func secondPut(_ store: any ObjectStore) async throws {
        for kind in [ObjectKind.dataPack, .config] {
            let object = TestObject(kind, length: 300_000, seed: 5)
            try await store.put(object)
            try requireEqual(await store.put(object), .existed, "the second put")
            try require(await store.get(object.key, range: nil) == object.bytes, "The bytes have changed.")
        }
    }

    @Sendable
    private static func otherBytes(_ store: any ObjectStore) async throws {
        let config = TestObject(.config, length: 100, seed: 6)
        try await store.put(config)
        try await requireError([.conflict], "the put of another config") {
            try await store.put(config.key, Corpus.incompressible(101, seed: 7))
        }
        try require(await store.get(config.key, range: nil) == config.bytes, "The config was replaced.")

        // What a failing drive or a broken upload leaves: fewer bytes than the name stands for.
        let pack = TestObject(length: 100, seed: 8)
        try await store.put(pack.key, Array(pack.bytes.prefix(60)))
        try await requireError([.damaged], "the put over a truncated object") {
            try await store.put(pack)
        }
        try requireEqual(await store.head(pack.key)?.length, 60, "the length of what was there")
    }

    @Sendable
    private static func deletion(_ store: any ObjectStore) async throws {
        let objects = ObjectKind.allCases.enumerated().map { TestObject($1, seed: UInt64($0)) }
        for object in objects { try await store.put(object) }
        let kept = TestObject(seed: 100)
        try await store.put(kept)
        try await store.delete(objects.map(\.key))
        for object in objects { try requireEqual(await store.head(object.key), nil, "the head after deletion") }
        let keys = try await store.list(prefix: "", after: nil, limit: 1_000).map(\.key)
        try requireEqual(keys, [kept.key], "what is left")
        for object in objects { try requireEqual(await store.put(object), .created, "the put after deletion") }
    }

    @Sendable
    private static func deletionOfNothing(_ store: any ObjectStore) async throws {
        try await store.delete([])
        let object = TestObject(seed: 1)
        try await store.put(object)
        let missing = ObjectKind.allCases.map { TestObject($0, seed: 2).key }
        try await store.delete(missing)
        try await store.delete(missing + [object.key, object.key] + missing)
        try requireEqual(await store.head(object.key), nil, "the head after deletion")
    }
}

func requireError(
    _ codes: [HawserError.Code],
    _ what: String,
    _ body: () async throws -> Void
) async throws {
    do {
        try await body()
    } catch let error as HawserError {
        try require(codes.contains(error.code), "\(what) threw \(error.code) instead of \(codes): \(error)")
        return
    } catch {
        throw ContractViolation("\(what) threw \(error) instead of a HawserError.")
    }
    throw ContractViolation("\(what) did not throw.")
}
