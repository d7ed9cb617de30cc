import HawserFormat
import HawserRepository
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserMovers

/// Over a network every request costs its round trip, and most storages bill it.
@Suite("How many requests")
struct RequestCountTests {
    /// Notes the prefixes of lists.
    final class ListLog: ObjectStore {
        private let base: any ObjectStore
        private let prefixes = Mutex<[String]>([])

        init(_ base: any ObjectStore) {
            self.base = base
        }

        var lists: [String] { prefixes.withLock { $0 } }

        func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
            try await base.put(key, bytes, sha256: sha256)
        }

        func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] { try await base.get(key, range: range) }

        func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }

        func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
            prefixes.withLock { $0.append(prefix) }
            return try await base.list(prefix: prefix, after: after, limit: limit)
        }

        func delete(_ keys: [ObjectKey]) async throws { try await base.delete(keys) }
    }

    private func remote(_ store: any ObjectStore) -> TargetDataMover {
        TargetDataMover(store: store, access: .remote)
    }

    /// Small files in folders, so many that their tree needs several packs of metadata.
    private static func nodes(_ count: Int) -> [GeneratedNode] {
        (0..<count).map { index in
            let name = String(100_000 + index)
            return GeneratedNode("/data/\(name)", .file, [.noise(seed: UInt64(index), length: 600)])
        }
    }

    @Test("An unchanged run makes at most 12, opening included, and no run lists packs")
    func unchanged() async throws {
        try await PipelineFixture.with { fixture in
            let log = ListLog(fixture.store)
            // The number does not depend on how many files there are: what a run reads of them comes from the cache.
            let nodes = Self.nodes(5_000)
            try await fixture.backUp(GeneratedSource(nodes), in: fixture.open(through: remote(log)))
            for run in 1...2 {
                let metered = MeteredStore(log)
                let summary = try await fixture.backUp(
                    GeneratedSource(nodes),
                    in: fixture.open(through: remote(metered))
                )
                #expect(summary.files.unmodified == UInt64(nodes.count))
                #expect(metered.metrics.requests <= 12, "run \(run): \(metered.metrics)")
            }
            #expect(log.lists.allSatisfy { !$0.isEmpty && !"packs/".hasPrefix($0) && !$0.hasPrefix("packs") })
        }
    }

    @Test("A restore with the cache of the backup fetches data only")
    func restore() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = Self.nodes(500)
            let log = ListLog(fixture.store)
            let summary = try await fixture.backUp(GeneratedSource(nodes), in: fixture.open(through: remote(log)))
            let metered = MeteredStore(log)
            let repository = try await fixture.open(through: remote(metered))
            let opened = metered.metrics
            let snapshot = try await repository.snapshot(#require(summary.snapshotID))
            let target = Array((fixture.folder + "/target").utf8)
            let restored = try await RestoreMover(repository, RestoreRequest(snapshot, target: target)).run()
            #expect(restored.filesRestored == UInt64(nodes.count) && restored.problemCount == 0)
            let packs = try await fixture.keys(.dataPack).count
            #expect(metered.metrics.requests - opened.requests == packs)
            #expect(log.lists.allSatisfy { !"packs/".hasPrefix($0) && !$0.hasPrefix("packs") })
        }
    }

    @Test("Snapshots are fetched side by side, a bounded number at a time, and once")
    func snapshots() async throws {
        try await PipelineFixture.with { fixture in
            for _ in 0..<20 { try await fixture.backUp(GeneratedSource([GeneratedNode("/data/x", .directory)])) }
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .get, keys: .kind(.snapshot), occurrence: .every))
            let metered = MeteredStore(fixture.store)
            let repository = try await fixture.open(through: remote(metered))
            async let found = repository.snapshots()
            try await gate.waitForArrivals(16)
            #expect(gate.arrivals == 16)
            gate.open()
            #expect(try await found.count == 20)
            let requests = metered.metrics.requests
            #expect(try await repository.snapshots().count == 20)
            #expect(metered.metrics.requests == requests + 1)
        }
    }

    @Test("A kept object that is damaged is fetched again; one that the storage lost is forgotten")
    func damagedCache() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = Self.nodes(50)
            let summary = try await fixture.backUp(
                GeneratedSource(nodes),
                in: fixture.open(through: remote(fixture.store))
            )
            let objects = fixture.folder + "/cache"
            try CacheDamage.flipLastByte(ofEveryFileBelow: objects, in: "objects")
            let again = try await fixture.backUp(
                GeneratedSource(nodes),
                in: fixture.open(through: remote(fixture.store))
            )
            #expect(again.files.unmodified == UInt64(nodes.count) && again.parent == summary.snapshotID)
            try await fixture.memory.delete(fixture.keys(.snapshot))
            let repository = try await fixture.open(through: remote(fixture.store))
            #expect(try await repository.snapshots().isEmpty)
        }
    }
}
