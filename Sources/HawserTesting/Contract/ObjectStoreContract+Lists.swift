import HawserFormat
import HawserStorage

extension ObjectStoreContract {
    static let listChecks = [
        Check("a list of nothing is empty", emptyList),
        Check("a list is in ascending order of the keys' bytes", order),
        Check("a list has the objects below its prefix only", prefixes),
        Check("pages of every size give each object once", paging),
        Check("a page after a key that is gone goes on behind it", needs: [.deletion], pagingAfterDeletion),
        Check("a listing shows everything", listing),
    ]

    private static func fill(_ store: any ObjectStore) async throws -> [TestObject] {
        var objects: [TestObject] = []
        for (index, kind) in ObjectKind.allCases.enumerated() where kind != .config {
            for seed in 0..<(kind == .dataPack ? 12 : 3) {
                objects.append(TestObject(kind, length: 10 + seed, seed: UInt64(index * 100 + seed)))
            }
        }
        for object in objects { try await store.put(object) }
        // In byte order 10 stands before 2.
        for generation in [1, 2, 3, 10, 11, 4_294_967_295] as [UInt32] {
            let bytes = Corpus.incompressible(20, seed: UInt64(generation))
            try await store.put(.config(generation), bytes)
            objects.append(TestObject(key: .config(generation), bytes: bytes))
        }
        // Two generations of one snapshot's refs.
        let refs = Corpus.incompressible(30, seed: 999)
        let second = ObjectKey.refs(snapshot: TestObject(.refs, length: 10, seed: 800).sha256, .init(sha256Of: refs))
        try await store.put(second, refs)
        objects.append(TestObject(key: second, bytes: refs))
        return objects.sorted { $0.key < $1.key }
    }

    @Sendable
    private static func emptyList(_ store: any ObjectStore) async throws {
        for prefix in [""] + ObjectKind.allCases.map(\.prefix) {
            try requireEqual(await store.list(prefix: prefix, after: nil, limit: 10).count, 0, "objects in \(prefix)")
        }
    }

    @Sendable
    private static func order(_ store: any ObjectStore) async throws {
        let objects = try await fill(store)
        let list = try await store.list(prefix: "", after: nil, limit: 1_000)
        try requireEqual(list.map(\.key.path), objects.map(\.key.path), "the listed keys")
        try requireEqual(list.map(\.length), objects.map(\.bytes.count), "the listed lengths")
    }

    @Sendable
    private static func prefixes(_ store: any ObjectStore) async throws {
        let objects = try await fill(store)
        let paths = objects.map(\.key.path)
        // Whole kinds, several kinds, the beginnings of names, whole keys, and what nothing begins with.
        var prefixes =
            ObjectKind.allCases.map(\.prefix) + ["packs/", "packs/d", "index/", "c", "config/1", "q", "packs/d/zz"]
        for path in paths { prefixes += [path, String(path.dropLast(1)), String(path.dropLast(40)), path + "0"] }
        for prefix in prefixes {
            let keys = try await store.list(prefix: prefix, after: nil, limit: 1_000).map(\.key.path)
            try requireEqual(keys, paths.filter { $0.hasPrefix(prefix) }, "the keys below \(prefix)")
        }
    }

    @Sendable
    private static func paging(_ store: any ObjectStore) async throws {
        let keys = try await fill(store).map(\.key)
        for prefix in ["", "packs/", ObjectKind.refs.prefix, ObjectKind.config.prefix] {
            let wanted = keys.filter { $0.path.hasPrefix(prefix) }
            for limit in [1, 2, 3, 5, wanted.count - 1, wanted.count, wanted.count + 1, 1_000] {
                try requireEqual(
                    await pages(of: store, prefix: prefix, limit: limit),
                    wanted,
                    "the keys below \(prefix) in pages of \(limit)"
                )
            }
        }
    }

    private static func pages(of store: any ObjectStore, prefix: String, limit: Int) async throws -> [ObjectKey] {
        var keys: [ObjectKey] = []
        while true {
            let page = try await store.list(prefix: prefix, after: keys.last, limit: limit)
            try require(page.count <= limit, "A page has \(page.count) objects; \(limit) were asked for.")
            keys += page.map(\.key)
            if page.count < limit { return keys }
        }
    }

    @Sendable
    private static func pagingAfterDeletion(_ store: any ObjectStore) async throws {
        let keys = try await fill(store).map(\.key)
        for index in stride(from: 0, to: keys.count, by: 2) { try await store.delete([keys[index]]) }
        for index in stride(from: 0, to: keys.count, by: 2) {
            let next = try await store.list(prefix: "", after: keys[index], limit: 1).first?.key
            try requireEqual(next, keys.indices.contains(index + 1) ? keys[index + 1] : nil, "what follows")
        }
    }

    @Sendable
    private static func listing(_ store: any ObjectStore) async throws {
        let keys = try await fill(store).map(\.key)
        for kind in ObjectKind.allCases {
            var listed: [ObjectKey] = []
            for try await info in store.objects(kind) { listed.append(info.key) }
            try requireEqual(listed, keys.filter { $0.kind == kind }, "the listing of \(kind)")
        }
    }
}
