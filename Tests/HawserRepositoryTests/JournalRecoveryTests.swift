import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Journal")
struct JournalRecoveryTests {
    private let files = (1...3).map { TestFile("file-\($0)", count: 3_000_000, seed: UInt64($0)) }

    /// A session that is killed when its packs are stored and no segment is.
    private func kill(_ fixture: TestRepository) async throws {
        _ = try await TestSession(fixture.open()).store(files)
        #expect(try await fixture.keys("index/").isEmpty)
    }

    private func journals(_ fixture: TestRepository) async throws -> [String] {
        try await LocalFile.names(in: fixture.open().cache.directory + "/journal")
    }

    @Test("Packs of a killed session are found and used again")
    func recovers() async throws {
        try await TestRepository.with { fixture in
            try await kill(fixture)
            let packs = try await fixture.keys("packs/")
            #expect(try await journals(fixture).count == 1)

            let repository = try await fixture.open()
            let recovery = try await repository.recoverJournalledPacks()
            #expect(recovery.packs == packs.count)
            #expect(recovery.damaged.isEmpty)
            #expect(try await journals(fixture).isEmpty)
            let id = try await TestSession(repository).backUp(files)
            #expect(try await fixture.keys("packs/") == packs)
            for cache in [true, false] { try await fixture.open(cache: cache).expect(files, in: id) }
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("The journal of a session that lives is left alone; one of a session that ended well is gone")
    func leavesLivingAlone() async throws {
        try await TestRepository.with { fixture in
            let repository = try await fixture.open()
            let session = try TestSession(repository)
            let root = try await session.store(files)
            let other = try await fixture.open()
            #expect(try await other.recoverJournalledPacks().packs == 0)
            #expect(try await journals(fixture).count == 1)
            _ = try await session.writer.commit(session.snapshot(root))
            try await session.writer.close()
            #expect(try await journals(fixture).isEmpty)
        }
    }

    @Test("Damaged, vanished and condemned packs are passed over")
    func passesBadPacksOver() async throws {
        try await TestRepository.with { fixture in
            try await kill(fixture)
            let packs = try await fixture.keys(.dataPack)
            try #require(packs.count >= 3)
            let bytes = try await fixture.memory.get(packs[0], range: nil)
            fixture.memory.replace(packs[0], with: Array(bytes.dropLast(100)))
            try await fixture.target.delete([packs[1]])
            let condemned = try #require(PackReference(packs[2], length: 1 << 20))
            let mark = try Condemned(packs: [condemned], fence: 0, created: Timestamp(seconds: 1)).encode()
            _ = try await fixture.target.store(SealedObject(kind: .condemned, bytes: mark))

            let repository = try await fixture.open()
            let recovery = try await repository.recoverJournalledPacks()
            #expect(Array(recovery.damaged.keys) == [packs[0]])
            let known = Set(repository.index.packs.map(\.key))
            #expect(known.isDisjoint(with: packs[...2]))
            repository.index.condemn(try await repository.condemnedPacks())
            let id = try await TestSession(repository).backUp(files)
            try await fixture.open().expect(files, in: id)
        }
    }

    @Test("When the storage fails the journal stays for the next run")
    func keepsJournal() async throws {
        try await TestRepository.with { fixture in
            try await kill(fixture)
            fixture.store.add(Fault(.failBefore(.transient()), on: .get, keys: .kind(.metadataPack)))
            let repository = try await fixture.open()
            await expectCode(.unavailable) { try await repository.recoverJournalledPacks() }
            #expect(try await journals(fixture).count == 1)
            #expect(try await fixture.open().recoverJournalledPacks().packs > 0)
        }
    }

    @Test("A journal whose last line was cut short gives the other lines")
    func readsCutJournal() async throws {
        try await TestRepository.with { fixture in
            let cache = try await fixture.open().cache
            let key = ObjectKey.named(.dataPack, ObjectName(hashOf: [1]))
            do {
                let journal = PackJournal(cache)
                journal.append(key)
                journal.append(.named(.dataPack, ObjectName(hashOf: [2])))
            }
            let name = try #require(LocalFile.names(in: cache.directory + "/journal").first)
            let path = cache.directory + "/journal/" + name
            let bytes = try #require(try LocalFile.read(path))
            try LocalFile.replace(path, with: Array(bytes.dropLast(5)))
            #expect(PackJournal.leftovers(in: cache).packs == [key])
        }
    }
}
