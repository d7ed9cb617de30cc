import HawserFormat
import HawserTesting
import Testing

@testable import HawserRepository

/// A cache whose disk is full, read-only or gone: nothing depends on it.
@Suite("Failures of the cache")
struct CacheFailureTests {
    private let files = [TestFile("a", count: 600_000, seed: 1)]
    private let more = [TestFile("b", count: 600_000, seed: 2)]

    /// Nothing can be made below a file, whoever asks.
    private func block(_ path: String) throws {
        LocalFile.removeTree(path)
        try LocalFile.replace(path, with: [])
    }

    @Test("Where no cache can be made, everything works without one")
    func worksWithoutCache() async throws {
        try await TestRepository.with { fixture in
            try block(fixture.cacheRoot)
            let repository = try await fixture.open()
            #expect(repository.cacheProblem?.place?.hasPrefix(fixture.cacheRoot) == true)
            let id = try await TestSession(repository).backUp(files)
            try await repository.expect(files, in: id)
            let again = try await fixture.open()
            try await again.expect(files, in: id)
            #expect(try await again.recoverJournalledPacks().packs == 0)
            #expect(try !TestSession(again).writer.claim(again.ids.id(of: files[0], at: 0)))
            #expect(try await RepositoryCheck(again, data: .all).run().findings.isEmpty)
            #expect(try LocalFile.read(fixture.cacheRoot) == [])
        }
    }

    @Test("A temporary cache has no files that a killed process would leave")
    func temporaryCache() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let repository = try await fixture.open(cache: false)
            #expect(LocalFile.names(in: repository.cache.directory + "/index").allSatisfy { $0 == "lock" })
            #expect(repository.cacheProblem == nil)
            try await repository.expect(files, in: id)
        }
    }

    @Test("A cache that fails while a backup runs does not end it, and the next run makes it anew")
    func failsOnTheWay() async throws {
        try await TestRepository.with { fixture in
            let first = try await fixture.backUp(files)
            let repository = try await fixture.open()
            let session = try TestSession(repository)
            for part in ["index", "segments", "journal"] { try block(repository.cache.directory + "/" + part) }
            let second = try await session.backUp(more)
            #expect(repository.cacheProblem != nil)
            try await repository.expect(files, in: first)
            try await repository.expect(more, in: second)

            LocalFile.removeTree(fixture.cacheRoot)
            let healed = try await fixture.open()
            #expect(healed.cacheProblem == nil)
            try await healed.expect(files, in: first)
            try await healed.expect(more, in: second)
        }
    }

    @Test("When the manifest can't be written, the old one and its runs stay, and nothing of the new ones is left")
    func keepsOldManifest() async throws {
        try await TestRepository.with { fixture in
            try await fixture.backUp(files)
            let cache = try await fixture.open().cache
            let manifest = cache.readManifest()
            let names = Set(LocalFile.names(in: cache.directory + "/index"))
            _ = cache.attempt { throw HawserError(.storageFull, "full") }
            try await fixture.backUp(more)

            let index = try await ChunkIndex.load(
                from: fixture.target,
                objects: fixture.open(cache: false).objects,
                cache: cache
            )
            #expect(index.packs.count > manifest.packs.count)
            #expect(cache.readManifest() == manifest)
            #expect(Set(LocalFile.names(in: cache.directory + "/index")) == names)
        }
    }
}

extension ChunkIDKeys {
    fileprivate func id(of file: TestFile, at chunk: Int) -> ChunkID {
        let start = chunk * TestFile.chunkLength
        return file.bytes[start..<min(start + TestFile.chunkLength, file.bytes.count)].withUnsafeBytes {
            id(of: $0, type: .data)
        }
    }
}
