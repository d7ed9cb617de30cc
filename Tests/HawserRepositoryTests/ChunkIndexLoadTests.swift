import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Loading the index")
struct ChunkIndexLoadTests {
    private let files = [TestFile("a", count: 600_000, seed: 1)]
    private let more = [TestFile("b", count: 600_000, seed: 2)]

    private func chunk(_ file: TestFile, _ repository: Repository) -> ChunkID {
        file.bytes.prefix(TestFile.chunkLength).withUnsafeBytes { repository.ids.id(of: $0, type: .data) }
    }

    @Test("New segments are taken without reading the old ones again")
    func takesNewSegments() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            _ = try await fixture.open()
            try await fixture.backUp(more)
            for key in try await fixture.keys("index/") {
                fixture.store.add(Fault(.holdAnswer(Gate()), on: .get, keys: .exactly(key), name: "any"))
            }
            // Segments of this machine are in the cache, so not one is fetched.
            let repository = try await fixture.open()
            for file in files + more { #expect(repository.index.find(chunk(file, repository)) != nil) }
            #expect(fixture.store.fired.isEmpty)
        }
    }

    @Test("Without a cache, or with a damaged one, everything is read again")
    func rebuildsCache() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let directory = try await fixture.open().cache.directory
            for name in LocalFile.names(in: directory + "/index") where name != "lock" {
                // A damaged run or manifest leads to new ones under other names.
                let path = directory + "/index/" + name
                guard let bytes = try LocalFile.read(path) else { continue }
                try LocalFile.replace(path, with: Corpus.flipping(bit: bytes.count * 4, of: bytes))
                try await fixture.open().expect(files, in: id)
                try LocalFile.replace(path, with: [])
                try await fixture.open().expect(files, in: id)
            }
            LocalFile.removeTree(directory)
            try await fixture.open().expect(files, in: id)
            try await fixture.open(cache: false).expect(files, in: id)
        }
    }

    @Test("A damaged segment is noted and named; the others count")
    func notesDamage() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            let damaged = try #require(await fixture.keys(.dataIndex).first)
            try await fixture.flipBit(of: damaged)
            try await fixture.backUp(more)
            for cache in [true, false] {
                let repository = try await fixture.open(cache: cache)
                #expect(repository.index.find(chunk(more[0], repository)) != nil)
                guard !cache else { continue }
                #expect(Array(repository.index.damagedSegments.keys) == [damaged])
                #expect(repository.index.find(chunk(files[0], repository)) == nil)
            }
        }
    }

    @Test("Swapped segments are both damaged")
    func refusesSwappedSegments() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            try await fixture.backUp(more)
            let keys = try await fixture.keys(.dataIndex)
            let contents = try await [fixture.memory.get(keys[0], range: nil), fixture.memory.get(keys[1], range: nil)]
            fixture.memory.replace(keys[0], with: contents[1])
            fixture.memory.replace(keys[1], with: contents[0])
            let repository = try await fixture.open(cache: false)
            #expect(Set(repository.index.damagedSegments.keys) == Set(keys))
        }
    }

    @Test("What a segment replaces is not read, damaged or not, now or at later openings")
    func ignoresReplaced() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let repository = try await fixture.open()
            let old = try await fixture.keys("index/")
            let summary = try await repository.repairIndex()
            #expect(summary.segmentsReplaced == old.count)
            for key in old { try await fixture.flipBit(of: key) }
            for cache in [true, false] {
                let repaired = try await fixture.open(cache: cache)
                #expect(repaired.index.damagedSegments.isEmpty)
                try await repaired.expect(files, in: id)
            }
            for key in old { fixture.store.add(Fault(.holdAnswer(Gate()), on: .get, keys: .exactly(key))) }
            _ = try await fixture.open()
            #expect(fixture.store.fired.isEmpty)
            // Prune deletes them; nothing changes.
            try await fixture.target.delete(old)
            try await fixture.open().expect(files, in: id)
        }
    }

    @Test("A segment that is gone when it is fetched is looked for under the names of another listing")
    func listsAgain() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            let key = try #require(await fixture.keys(.dataIndex).first)
            let gone = HawserError(.notFound, "gone")
            fixture.store.add(Fault(.failBefore(gone), on: .get, keys: .exactly(key)))
            let repository = try await fixture.open(cache: false)
            try fixture.store.verifyAllFired()
            #expect(repository.index.damagedSegments.isEmpty)
            #expect(repository.index.find(chunk(files[0], repository)) != nil)
        }
    }

    @Test("A segment that stays gone is noted")
    func notesMissing() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            let key = try #require(await fixture.keys(.dataIndex).first)
            let gone = HawserError(.notFound, "gone")
            fixture.store.add(Fault(.failBefore(gone), on: .get, keys: .exactly(key), occurrence: .every))
            let repository = try await fixture.open(cache: false)
            #expect(Array(repository.index.damagedSegments.keys) == [key])
            #expect(fixture.store.fired.values.reduce(0, +) == 3)
        }
    }

    @Test("Segments that vanish are forgotten by the cache")
    func forgetsVanished() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            _ = try await fixture.open()
            try await fixture.target.delete(fixture.keys(.dataIndex))
            let repository = try await fixture.open()
            #expect(repository.index.find(chunk(files[0], repository)) == nil)
        }
    }
}
