import HawserFormat
import HawserStorage

extension ObjectStoreContract {
    static let raceChecks = [
        Check("racing puts of one object create it once", needs: [.atomicCreation], equalPuts),
        Check("racing puts of different bytes leave one of them whole", needs: [.atomicCreation], differentPuts),
        Check("many puts side by side are all stored", manyPuts),
        Check("puts and deletions of one object leave it whole or gone", needs: [.deletion], putsAndDeletions),
        Check("a cancelled put leaves a whole object or none", cancelledPut),
    ]

    // More than the threads and slots that an implementation is likely to have.
    private static let tasks = 40

    @Sendable
    private static func equalPuts(_ store: any ObjectStore) async throws {
        for kind in [ObjectKind.dataPack, .refs, .config] {
            let object = TestObject(kind, length: 100_000, seed: 1)
            let results = try await withThrowingTaskGroup(of: PutResult.self) { group in
                for _ in 0..<tasks { group.addTask { try await store.put(object) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try requireEqual(results.count { $0 == .created }, 1, "puts that created \(kind)")
            try require(await store.get(object.key, range: nil) == object.bytes, "The object has other bytes.")
        }
    }

    @Sendable
    private static func differentPuts(_ store: any ObjectStore) async throws {
        let key = ObjectKey.config(1)
        let candidates = (0..<tasks).map { Corpus.incompressible(50_000 + $0, seed: UInt64($0)) }
        let created = try await withThrowingTaskGroup(of: Int?.self) { group in
            for (index, bytes) in candidates.enumerated() {
                group.addTask {
                    do {
                        return try await store.put(key, bytes) == .created ? index : nil
                    } catch let error as HawserError where error.code == .conflict {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.compactMap { $0 }
        }
        try requireEqual(created.count, 1, "puts that created")
        let bytes = try await store.get(key, range: nil)
        try require(created.map { candidates[$0] } == [bytes], "The object is not what its creator put.")
    }

    @Sendable
    private static func manyPuts(_ store: any ObjectStore) async throws {
        let objects = (0..<tasks).map {
            TestObject($0.isMultiple(of: 2) ? .dataPack : .refs, length: 1_000 + $0, seed: UInt64($0))
        }
        try await withThrowingTaskGroup { group in
            for object in objects {
                group.addTask {
                    try requireEqual(await store.put(object), .created, "a put")
                    // Visible to whoever asks once it has returned.
                    try requireEqual(await store.head(object.key)?.length, object.bytes.count, "the length")
                }
            }
            try await group.waitForAll()
        }
        let keys = try await store.list(prefix: "", after: nil, limit: 1_000).map(\.key)
        try requireEqual(keys, objects.map(\.key).sorted(), "the listed keys")
    }

    @Sendable
    private static func putsAndDeletions(_ store: any ObjectStore) async throws {
        // Of a kind whose folders come and go with their objects.
        let object = TestObject(.refs, length: 10_000, seed: 1)
        try await withThrowingTaskGroup { group in
            for index in 0..<tasks {
                group.addTask {
                    if index.isMultiple(of: 2) {
                        try await store.put(object)
                    } else {
                        try await store.delete([object.key])
                    }
                }
            }
            try await group.waitForAll()
        }
        if try await store.head(object.key) != nil {
            try require(await store.get(object.key, range: nil) == object.bytes, "The object has other bytes.")
        }
        try await store.put(object)
        try require(await store.get(object.key, range: nil) == object.bytes, "The object has other bytes.")
    }

    @Sendable
    private static func cancelledPut(_ store: any ObjectStore) async throws {
        for seed in 0..<20 as Range<UInt64> {
            let object = TestObject(length: 200_000, seed: seed)
            let put = Task { try await store.put(object) }
            put.cancel()
            switch await put.result {
            case .success: break
            case .failure(is CancellationError): break
            case .failure(let error): throw ContractViolation("A cancelled put threw \(error).")
            }
            if try await store.head(object.key) != nil {
                try require(await store.get(object.key, range: nil) == object.bytes, "A part of an object is visible.")
            }
        }
    }
}
