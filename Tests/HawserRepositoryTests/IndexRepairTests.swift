import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Repairing the index")
struct IndexRepairTests {
    private let files = (1...3).map { TestFile("file-\($0)", count: 2_000_000, seed: UInt64($0)) }

    @Test("The index is made anew from packs alone", arguments: ["gone", "damaged", "whole"])
    func repairs(state: String) async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            let old = try await fixture.keys("index/")
            switch state {
            case "gone": try await fixture.target.delete(old)
            case "damaged": for key in old { try await fixture.flipBit(of: key) }
            default: break
            }
            let packs = try await fixture.keys("packs/")
            let summary = try await fixture.open(cache: false).repairIndex()
            #expect(summary.packs == packs.count)
            #expect(summary.unreadable.isEmpty)
            #expect(summary.segmentsWritten == 2)
            #expect(summary.segmentsReplaced == (state == "gone" ? 0 : old.count))
            for cache in [true, false] { try await fixture.open(cache: cache).expect(files, in: id) }
            #expect(try await fixture.check(.all).findings.isEmpty)
            // The old segments are prune's to delete.
            if state != "gone" { #expect(Set(try await fixture.keys("index/")).isSuperset(of: old)) }
        }
    }

    /// By a byte of its header that is wrong, a pack can look as if a newer version, or one with other keys, had written it.
    @Test("Packs that can't be read are named and left out, and the others count", arguments: [nil, 9, 10, 11])
    func namesUnreadable(byte: Int?) async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp([files[0]])
            let whole = Set(try await fixture.keys("packs/"))
            try await fixture.backUp(files)
            let damaged = try #require(await fixture.keys(.dataPack).first { !whole.contains($0) })
            let bytes = try await fixture.memory.get(damaged, range: nil)
            var changed = bytes
            if let byte { changed[byte] ^= 0x40 } else { changed.removeLast() }
            fixture.memory.replace(damaged, with: changed)
            let summary = try await fixture.open().repairIndex()
            #expect(Array(summary.unreadable.keys) == [damaged])
            #expect(summary.unreadable[damaged]?.place == damaged.path)
            try await fixture.open().expect([files[0]], in: id)
        }
    }

    @Test("A repair that fails on the way has changed nothing")
    func failsWhole() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(files)
            fixture.store.add(Fault(.failBefore(.transient()), on: .get, keys: .kind(.metadataPack)))
            let repository = try await fixture.open()
            await expectCode(.unavailable) { try await repository.repairIndex() }
            fixture.store.add(Fault(.failBefore(.permanent(.storageFull)), on: .put, keys: .kind(.metadataIndex)))
            await expectCode(.storageFull) { try await repository.repairIndex() }
            try fixture.store.verifyAllFired()
            try await fixture.open(cache: false).expect(files, in: id)
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Packs of a backup that was never indexed are found")
    func findsUnindexed() async throws {
        try await TestRepository.with { fixture in
            _ = try await TestSession(fixture.open()).store(files)
            let packs = try await fixture.keys("packs/")
            try await fixture.open().repairIndex()
            let session = try await TestSession(fixture.open())
            _ = try await session.backUp(files)
            #expect(try await fixture.keys("packs/") == packs)
        }
    }
}
