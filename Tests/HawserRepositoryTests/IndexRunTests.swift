import Crypto
import Glibc
import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserRepository

@Suite("Cached index")
struct IndexRunTests {
    private let key = SymmetricKey(data: [UInt8](repeating: 7, count: 32))

    private func withCache(_ body: (RepositoryCache, String) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let id = [UInt8](repeating: 1, count: 32)
            let cache = RepositoryCache(root: folder, repositoryID: id, key: key)
            try await body(cache, cache.directory)
        }
    }

    static func records(_ count: Int, seed: UInt64, packNumber: UInt32 = 3) -> [IndexRecord] {
        let bytes = Corpus.incompressible(count * 32, seed: seed)
        return (0..<count).map { number in
            record(ChunkID(bytes[(number * 32)..<(number * 32 + 32)])!, packNumber: packNumber, offset: UInt32(number))
        }.sorted { $0.blob.id < $1.blob.id }
    }

    static func record(_ id: ChunkID, packNumber: UInt32, offset: UInt32 = 16) -> IndexRecord {
        IndexRecord(
            blob: BlobRecord(id: id, type: .data, epoch: 1, offset: offset, storedLength: 100, plainLength: 200),
            packNumber: packNumber
        )
    }

    private func makeRun(_ cache: RepositoryCache, _ records: [IndexRecord], named name: String? = nil) throws
        -> IndexRun
    {
        try cache.makeRun(named: name, count: records.count) { writer in
            for record in records { writer.append(record) }
        }
    }

    private func find(_ id: ChunkID, in run: IndexRun) throws -> [IndexRecord] {
        var found: [IndexRecord] = []
        try run.find(id) { record in
            found.append(record)
            return false
        }
        return found
    }

    @Test("Every record is found, and no other", arguments: [0, 1, 2, 84, 85, 86, 5_000])
    func findsAll(count: Int) async throws {
        try await withCache { cache, _ in
            let records = Self.records(count, seed: UInt64(count) + 1)
            let run = try makeRun(cache, records)
            #expect(run.recordCount == count)
            for record in records { #expect(try find(record.blob.id, in: run) == [record]) }
            for absent in Self.records(1_000, seed: 99) { #expect(try find(absent.blob.id, in: run).isEmpty) }
        }
    }

    @Test("Ids that are not evenly distributed are found as well")
    func findsSkewed() async throws {
        try await withCache { cache, _ in
            let records = (0..<2_000).map { number in
                var bytes = [UInt8](repeating: number < 1_990 ? 0 : 255, count: 32)
                bytes[30] = UInt8(number >> 8)
                bytes[31] = UInt8(number & 255)
                return Self.record(ChunkID(bytes)!, packNumber: 1)
            }
            let run = try makeRun(cache, records)
            for record in records { #expect(try find(record.blob.id, in: run) == [record]) }
        }
    }

    @Test("A chunk that lies in several packs is found in all of them")
    func findsDuplicates() async throws {
        try await withCache { cache, _ in
            let records = Self.records(500, seed: 5)
            let double = records[250].blob.id
            let all = records + [1, 2].map { Self.record(double, packNumber: 100 + $0) }
            let sorted = all.sorted { ($0.blob.id, $0.packNumber) < ($1.blob.id, $1.packNumber) }
            let run = try makeRun(cache, sorted)
            #expect(try find(double, in: run).map(\.packNumber) == [3, 101, 102])
        }
    }

    @Test("A changed bit on any page is noticed before anything on it is believed")
    func noticesBitFlips() async throws {
        try await withCache { cache, directory in
            let records = Self.records(400, seed: 8)
            _ = try makeRun(cache, records, named: "run")
            let path = directory + "/index/run"
            let bytes = try #require(try LocalFile.read(path))
            for page in 0..<(bytes.count / PageSeal.pageSize) {
                try LocalFile.replace(path, with: Corpus.flipping(bit: page * PageSeal.pageSize * 8 + 1_234, of: bytes))
                // The header is checked at once, other pages when they are used.
                #expect(throws: HawserError.self) { try cache.openRun("run").checkAllPages() }
                guard let run = try? cache.openRun("run") else {
                    #expect(page == 0)
                    continue
                }
                for record in records {
                    if let found = try? find(record.blob.id, in: run) { #expect(found == [record]) }
                }
            }
        }
    }

    @Test("A run that was cut short, or sealed under another key, is refused")
    func refusesForeignRuns() async throws {
        try await withCache { cache, directory in
            _ = try makeRun(cache, Self.records(400, seed: 8), named: "run")
            let path = directory + "/index/run"
            let bytes = try #require(try LocalFile.read(path))
            for count in [0, 1, 4_095, 4_096, 8_192, bytes.count - 1] {
                try LocalFile.replace(path, with: Array(bytes.prefix(count)))
                #expect(throws: HawserError.self) { try cache.openRun("run") }
            }
            try LocalFile.replace(path, with: bytes)
            let other = RepositoryCache(
                root: String(directory.dropLast(65)),
                repositoryID: [UInt8](repeating: 1, count: 32),
                key: SymmetricKey(size: .bits256)
            )
            #expect(throws: HawserError.self) { try other.openRun("run") }
        }
    }

    @Test("A damaged page makes the chunks of its run unknown, which is safe, and is remembered")
    func damagedRunIsDropped() async throws {
        try await withCache { cache, directory in
            let records = Self.records(400, seed: 8, packNumber: 0)
            _ = try makeRun(cache, records, named: "run")
            let path = directory + "/index/run"
            let bytes = try #require(try LocalFile.read(path))
            // The first page of the filter, behind the records.
            let page = 1 + (400 + IndexRunLayout.recordsPerPage - 1) / IndexRunLayout.recordsPerPage
            try LocalFile.replace(path, with: Corpus.flipping(bit: page * PageSeal.pageSize * 8, of: bytes))
            var state = ChunkIndex.State()
            state.packs = [
                PackReference(name: ObjectName(hashOf: [1]), length: 1 << 20, isMetadata: false)
            ]
            state.runs = [try cache.openRun("run")]
            let index = ChunkIndex(state)
            #expect(index.find(records[0].blob.id) == nil)
            #expect(index.cacheIsDamaged)
        }
    }

    @Test("Eight runs of one size become one, with every record in order")
    func compacts() async throws {
        try await withCache { cache, _ in
            var runs: [IndexRun] = []
            var all: [IndexRecord] = []
            for seed in 1...8 {
                #expect(IndexCompaction.due(runs) == nil)
                let records = Self.records(100 + seed, seed: UInt64(seed), packNumber: UInt32(seed))
                all += records
                runs.append(try makeRun(cache, records))
            }
            let members = try #require(IndexCompaction.due(runs))
            #expect(members.count == 8)
            let merged = try IndexCompaction.merge(members, named: nil, in: cache)
            all.sort { $0.blob.id < $1.blob.id }
            var cursor = IndexRun.Cursor(merged)
            #expect(try all.map { _ in try cursor.next() } == all)
            #expect(try cursor.next() == nil)
            for record in all { #expect(try find(record.blob.id, in: merged) == [record]) }
        }
    }

    @Test("What is stored moves from memory to runs that are merged, and is found all the time")
    func retires() async throws {
        try await withCache { cache, _ in
            let index = ChunkIndex(ChunkIndex.State())
            var all: [IndexRecord] = []
            for seed in 1...20 {
                var records = Self.records(50, seed: UInt64(seed))
                let pack = PackReference(name: ObjectName(hashOf: [UInt8(seed)]), length: 1 << 20, isMetadata: false)
                let number = index.add(pack, records.map(\.blob))
                for position in records.indices { records[position].packNumber = number }
                all += records
                try index.retire(records, in: cache)
                for record in all { #expect(index.find(record.blob.id) == record) }
            }
            #expect(index.state.withLock { $0.runs.count } == 6)
            #expect(index.state.withLock { $0.recent.isEmpty })
        }
    }

    @Test("A damaged run is not merged; what the others hold is found")
    func keepsDamagedApart() async throws {
        try await withCache { cache, directory in
            let path = directory + "/index/run"
            let damaged = Self.records(200, seed: 99, packNumber: 0)
            _ = try makeRun(cache, damaged, named: "run")
            let bytes = try #require(try LocalFile.read(path))
            try LocalFile.replace(path, with: Corpus.flipping(bit: PageSeal.pageSize * 8, of: bytes))
            var state = ChunkIndex.State()
            state.packs = [PackReference(name: ObjectName(hashOf: [1]), length: 1 << 20, isMetadata: false)]
            state.runs = [try cache.openRun("run")]
            let index = ChunkIndex(state)
            var all: [IndexRecord] = []
            for seed in 1...9 {
                all += Self.records(50, seed: UInt64(seed), packNumber: 0)
                try index.retire(Self.records(50, seed: UInt64(seed), packNumber: 0), in: cache)
            }
            #expect(index.find(damaged[0].blob.id) == nil)
            #expect(index.cacheIsDamaged)
            for record in all { #expect(index.find(record.blob.id) == record) }
        }
    }

    @Test("A manifest comes back as it was; any change makes it unreadable")
    func manifest() throws {
        var manifest = IndexManifest()
        manifest.segments = Set((0..<5).map { ObjectName(hashOf: [$0]) })
        manifest.replaced = [ObjectName(hashOf: [9])]
        manifest.packs = (0..<3).map {
            PackReference(name: ObjectName(hashOf: [$0, 1]), length: UInt32($0) << 20, isMetadata: $0 == 1)
        }
        manifest.runs = ["run-1", "run-2"]
        let bytes = manifest.encode(key: key)
        #expect(try IndexManifest(bytes, key: key) == manifest)
        for bit in stride(from: 0, to: bytes.count * 8, by: 37) {
            #expect(throws: HawserError.self) { try IndexManifest(Corpus.flipping(bit: bit, of: bytes), key: key) }
        }
        for count in 0..<bytes.count {
            #expect(throws: HawserError.self) { try IndexManifest(Array(bytes.prefix(count)), key: key) }
        }
    }
}
