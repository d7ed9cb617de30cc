import Foundation
import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserRepository

@Suite("Prune")
struct PrunerTests {
    private let first = [TestFile("a", count: 3_000_000, seed: 1), TestFile("b", count: 1_000_000, seed: 2)]
    private let second = [TestFile("b", count: 1_000_000, seed: 2), TestFile("c", count: 2_000_000, seed: 3)]

    private func prune(
        _ fixture: TestRepository,
        _ change: (inout PruneOptions) -> Void = { $0.grace = .none }
    ) async throws -> PruneSummary {
        var options = PruneOptions()
        options.maxUnused = .bytes(0)
        change(&options)
        return try await Pruner(fixture.open(), options: options, now: { Timestamp(seconds: 2_000_000_000) }).run()
    }

    @Test("Without grace, what only forgotten snapshots needed is gone at once, and the rest is whole")
    func atOnce() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            let before = fixture.memory.totalLength
            try await fixture.open().forget([ids[0]])
            let summary = try await prune(fixture)
            #expect(summary.deleted.count > 0 && summary.waiting.count == 0)
            #expect(before - fixture.memory.totalLength > 2_900_000)
            try await fixture.open(cache: false).expect(second, in: ids[1])
            #expect(try await fixture.check(.all).findings.isEmpty)
            let again = try await prune(fixture)
            #expect(again.marked.count == 0 && again.deleted.count == 0 && again.segmentsWritten == 0)
        }
    }

    @Test("A dry run changes nothing and says what would come back")
    func dryRun() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(first)
            try await fixture.backUp(second, at: 1_800_000_100)
            try await fixture.open().forget([id])
            let keys = try await fixture.keys("")
            let dry = try await prune(fixture) {
                $0.grace = .none
                $0.dryRun = true
            }
            #expect(try await fixture.keys("") == keys)
            let summary = try await prune(fixture)
            #expect(dry.marked.count == summary.marked.count && dry.movedBytes == summary.movedBytes)
            #expect(dry.usedBytes == summary.usedBytes && dry.movedBytes > 0)
            #expect(dry.cost.requests > 0 && dry.cost.bytesRead >= 1_000_000)
        }
    }

    @Test("A limit for what is of no use leaves packs as they are")
    func maxUnused() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(first)
            try await fixture.backUp(second, at: 1_800_000_100)
            try await fixture.open().forget([id])
            let lax = try await prune(fixture) {
                $0.grace = .none
                $0.maxUnused = .unlimited
            }
            #expect(lax.rewritten.count == 0 && lax.unusedBytesLeft >= 2_900_000)
            let half = try await prune(fixture) {
                $0.grace = .none
                $0.maxUnused = .share(0.5)
            }
            #expect(half.unusedBytesLeft <= half.usedBytes)
            let none = try await prune(fixture)
            #expect(none.unusedBytesLeft == 0)
        }
    }

    @Test("Without refs that can be read of one snapshot, nothing is deleted")
    func needsRefs() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            try await fixture.open().forget([ids[0]])
            let refs = try await fixture.keys(.refs).filter { $0.snapshot == ids[1] }
            try await fixture.flipBit(of: refs[0])
            let packs = try await fixture.keys("packs/")
            await expectCode(.damaged) { try await prune(fixture) }
            #expect(try await fixture.keys("packs/") == packs)
            let snapshots = try await fixture.open().snapshots()
            let repair = try await fixture.open().repairSnapshots(snapshots)
            #expect(repair.refsRepaired == [ids[1]] && repair.losses.isEmpty)
            _ = try await prune(fixture)
            try await fixture.open().expect(second, in: ids[1])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("A snapshot that no list shows keeps its refs and its packs")
    func skippedByLists() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            let keys = try await fixture.keys("packs/") + fixture.keys(.refs)
            fixture.store.add(Fault(.hideNewest(.max), on: .list, keys: .kind(.snapshot), occurrence: .every))
            let summary = try await prune(fixture)
            #expect(summary.refsDeleted == 0 && summary.deleted.count == 0)
            #expect(try await fixture.keys("packs/") + fixture.keys(.refs) == keys)
            let repository = try await fixture.open(cache: false)
            try await repository.expect(first, in: ids[0])
            try await repository.expect(second, in: ids[1])
        }
    }

    @Test("A damaged segment whose place a repair has taken stops no prune")
    func replacedSegment() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            try await fixture.flipBit(of: #require(fixture.keys(.dataIndex).first))
            try await fixture.open(cache: false).repairIndex()
            try await fixture.open().forget([ids[0]])
            _ = try await prune(fixture) { $0.grace = .standard }
            #expect(try await prune(fixture).deleted.count > 0)
            try await fixture.open(cache: false).expect(second, in: ids[1])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("What is of no use and too young is told of")
    func young() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(first)
            try await fixture.backUp(second, at: 1_800_000_100)
            try await fixture.open().forget([id])
            let now = Timestamp(seconds: Int64(Date.now.timeIntervalSince1970))
            let summary = try await Pruner(fixture.open(), options: PruneOptions(), now: { now }).run()
            #expect(summary.marked.count == 0 && summary.youngBytes > 2_900_000)
        }
    }

    @Test("What another machine forgets meanwhile, and another prune deletes, is not missing")
    func forgottenMeanwhile() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            let gate = Gate()
            // By then it has listed the snapshots.
            fixture.store.add(Fault(.hold(gate), on: .list, keys: .kind(.checkpoint), occurrence: .only(1)))
            async let slow = prune(fixture)
            try await gate.waitForArrivals(1)
            try await fixture.open().forget([ids[0]])
            #expect(try await prune(fixture).deleted.count > 0)
            gate.open()
            #expect(try await !slow.isDamaged)
            try await fixture.open(cache: false).expect(second, in: ids[1])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("A prune whose packs another one has moved meanwhile gives way")
    func movedMeanwhile() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            try await fixture.open().forget([ids[0]])
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .get, keys: .kind(.dataPack), occurrence: .only(1)))
            async let slow = prune(fixture)
            try await gate.waitForArrivals(1)
            #expect(try await prune(fixture).deleted.count > 0)
            gate.open()
            do {
                _ = try await slow
                Issue.record("both have moved the same packs")
            } catch let error as HawserError {
                #expect(error.code == .pruneInTheWay)
            }
            try await fixture.open(cache: false).expect(second, in: ids[1])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Who opened the repository before finds what was moved, and looks for what is lost only once")
    func readsBeside() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            let before = try await fixture.open(cache: false)
            try await fixture.open().forget([ids[0]])
            #expect(try await prune(fixture).deleted.count > 0)
            try await before.expect(second, in: ids[1])
            try await fixture.memory.delete(fixture.keys(.dataPack))
            let metered = MeteredStore(fixture.memory)
            let repository = try await Repository.open(
                at: TargetDataMover(store: metered),
                password: .test,
                cacheRoot: nil
            )
            let lists = metered.metrics[.list].requests
            for file in second {
                await expectCode(.notFound) { try await repository.content(of: file.path, in: ids[1]) }
            }
            #expect(metered.metrics[.list].requests - lists == 1)
        }
    }

    @Test("A difference whose base is gone stops a prune, unless a later generation stands for it")
    func lostBase() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp(first)
            let refs = try #require(await fixture.keys(.refs).first)
            let packs = try Refs(decoding: await fixture.memory.get(refs, range: nil)).resolve()
            let nobody = Refs.Base(snapshot: id, name: ObjectName(hashOf: [1]))
            let difference = try Refs(
                snapshot: id,
                generation: 2,
                packs: packs,
                base: nobody,
                basePacks: Array(packs.dropFirst())
            ).sealed()
            _ = try await fixture.target.store(difference)
            await expectCode(.damaged) { try await prune(fixture) }
            let full = try Refs(snapshot: id, generation: 3, packs: packs).sealed()
            _ = try await fixture.target.store(full)
            _ = try await prune(fixture)
            #expect(try await fixture.keys(.refs) == [full.key])
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Small packs are joined when there are many")
    func joins() async throws {
        try await TestRepository.with { fixture in
            var ids: [(ObjectName, [TestFile])] = []
            for number in 0..<9 {
                let files = [TestFile("f\(number)", count: 50_000, seed: UInt64(100 + number))]
                ids.append((try await fixture.backUp(files, at: 1_800_000_000 + Int64(number)), files))
            }
            let before = try await fixture.keys("packs/").count
            _ = try await prune(fixture)
            #expect(try await fixture.keys("packs/").count < before / 3)
            #expect(try await fixture.keys("index/").count <= 4)
            for (id, files) in ids { try await fixture.open().expect(files, in: id) }
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("What is left of damaged packs is saved, what the source still has heals, the rest is left out")
    func repairs() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            let packs = try await fixture.keys(.dataPack)
            try await fixture.flipBit(of: packs[0])
            #expect(try await fixture.check(.all).errorCount > 0)
            let repair = try await fixture.open().repairPacks(now: { Timestamp(seconds: 2_000_000_000) })
            #expect(repair.damaged.count == 1 && repair.chunksLost == 1 && repair.chunksSaved > 0)
            // The chunk's file is known when it is still there.
            let healed = try await fixture.backUp(first + second.suffix(1), at: 1_800_000_200)
            _ = try await prune(fixture)
            for (id, files) in [(ids[0], first), (ids[1], second), (healed, first + second.suffix(1))] {
                try await fixture.open().expect(files, in: id)
            }
            // What older snapshots found again is named by the refs of the new one only, until theirs are repaired.
            let names = try await fixture.open().repairSnapshots(fixture.open().snapshots())
            #expect(names.losses.isEmpty && !names.refsRepaired.isEmpty)
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Snapshots without what is lost take the place of damaged ones")
    func repairsSnapshots() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(first), fixture.backUp(second, at: 1_800_000_100)]
            try await fixture.flipBit(of: fixture.keys(.dataPack)[0])
            _ = try await fixture.open().repairPacks(now: { Timestamp(seconds: 2_000_000_000) })
            _ = try await prune(fixture)
            let summary = try await fixture.open().repairSnapshots(fixture.open().snapshots())
            #expect(!summary.losses.isEmpty)
            let count = try await fixture.open().snapshots().count
            let again = try await fixture.open().repairSnapshots(fixture.open().snapshots())
            #expect(again.losses.mapValues(\.replacement) == summary.losses.mapValues(\.replacement))
            #expect(try await fixture.open().snapshots().count == count)
            try await fixture.open().forget(summary.losses.keys.sorted())
            _ = try await prune(fixture)
            #expect(try await fixture.check(.all).findings.isEmpty)
            let repository = try await fixture.open()
            for (id, loss) in summary.losses {
                let new = try #require(loss.replacement)
                #expect(try await repository.snapshot(new).original == id)
                let files = id == ids[0] ? first : second
                for file in files where !loss.missing.contains(where: { $0.description.hasSuffix(file.path) }) {
                    let bytes = try await repository.content(of: file.path, in: new)
                    let lost = loss.damaged.first { $0.path.description.hasSuffix(file.path) }?.lostBytes ?? 0
                    #expect(UInt64(bytes.count) + lost == UInt64(file.bytes.count))
                }
            }
        }
    }
}
