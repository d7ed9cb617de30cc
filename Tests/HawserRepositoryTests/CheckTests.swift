import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserRepository

@Suite("Check")
struct CheckTests {
    // Two snapshots that share one file; some files have content lists.
    private let shared = TestFile("dir/shared", count: 1_000_000, seed: 1)
    private let first = TestFile("dir/first", count: 1_000_000, seed: 2)
    private let second = TestFile("dir/second", count: 20_000_000, seed: 3)

    private func with(_ body: (TestRepository, _ ids: [ObjectName]) async throws -> Void) async throws {
        try await TestRepository.with { fixture in
            let ids = try await [
                fixture.backUp([shared, first], at: 1_800_000_000),
                fixture.backUp([shared, second], at: 1_800_000_100),
            ]
            try await body(fixture, ids)
        }
    }

    private func path(_ file: TestFile) -> EntryPath { EntryPath(Array(file.path.utf8))! }

    @Test("A whole repository has no findings")
    func findsNothing() async throws {
        try await with { fixture, _ in
            let structure = try await fixture.check()
            #expect(structure.findings.isEmpty)
            #expect(structure.snapshots == 2)
            #expect(structure.packsRead == 0)
            #expect(structure.nodes >= 3)
            let all = try await fixture.check(.all)
            #expect(all.findings.isEmpty)
            #expect(all.packsRead == all.packs)
        }
    }

    @Test("The parts of a subset are all packs together")
    func subsets() async throws {
        try await with { fixture, _ in
            var read = 0
            for number in 1...3 {
                read += try await fixture.check(.subset(.part(number: number, count: 3))).packsRead
            }
            #expect(try await read == fixture.check().packs)
            #expect(try await fixture.check(.subset(.percentage(1))).packsRead == 1)
            #expect(try await fixture.check(.subset(.size(1))).packsRead == 1)
        }
        #expect(CheckSubset("2/7") == .part(number: 2, count: 7))
        #expect(CheckSubset("2.5%") == .percentage(2.5))
        #expect(CheckSubset("500M") == .size(500 << 20))
        for text in ["", "0/3", "4/3", "1/0", "-1/2", "0%", "101%", "nan%", "0", "1X", "99999999999T", "M", "/", "%"] {
            #expect(CheckSubset(text) == nil, "\(text)")
        }
    }

    private static func damaged(_ bytes: [UInt8], _ damage: String) -> [UInt8] {
        switch damage {
        case "cut": Array(bytes.dropLast(1 + bytes.count / 3))
        case "emptied": []
        default: Corpus.flipping(bit: bytes.count * 4 + 3, of: bytes)
        }
    }

    @Test("Every object that is cut short, emptied or changed is named", arguments: ["cut", "emptied", "flipped"])
    func namesEveryObject(damage: String) async throws {
        try await with { fixture, _ in
            for key in try await fixture.keys("") where key.kind != .config && key.kind != .keySlot {
                let bytes = try await fixture.memory.get(key, range: nil)
                fixture.memory.replace(key, with: Self.damaged(bytes, damage))
                let summary = try await fixture.check(.all)
                #expect(summary.errorCount > 0, "\(key)")
                #expect(summary.findings.contains { $0.key == key.path }, "\(key): \(summary.findings.map(\.key))")
                fixture.memory.replace(key, with: bytes)
            }
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test(
        "A damaged checkpoint is a warning, a damaged mark an error: both are named",
        arguments: ["cut", "emptied", "flipped"]
    )
    func namesCheckpointsAndMarks(damage: String) async throws {
        try await with { fixture, _ in
            let repository = try await fixture.open()
            let time = Timestamp(seconds: 1_800_000_000)
            let checkpoint = try Checkpoint(
                started: time,
                time: time,
                hostname: Array("host".utf8),
                username: [],
                paths: [Array("/data".utf8)],
                programVersion: "1"
            ).encode(repository.objects)
            let pack = PackReference(name: ObjectName(hashOf: [1]), length: 100, isMetadata: false)
            let mark = try Condemned(packs: [pack], fence: 0, created: time).encode()
            let objects: [(ObjectKey, [UInt8], CheckFinding.Severity)] = [
                (.named(.checkpoint, checkpoint.name), checkpoint.object, .warning),
                (.named(.condemned, ObjectName(hashOf: mark)), mark, .error),
            ]
            for (key, bytes, _) in objects { _ = try await fixture.memory.put(key, bytes, sha256: #require(key.name)) }
            #expect(try await fixture.check(.all).findings.isEmpty)
            for (key, bytes, severity) in objects {
                fixture.memory.replace(key, with: Self.damaged(bytes, damage))
                let findings = try await fixture.check(.all).findings
                #expect(findings.map(\.key) == [key.path])
                #expect(findings.map(\.severity) == [severity])
                fixture.memory.replace(key, with: bytes)
            }
        }
    }

    @Test("Every object that the drive can't read is named, and the check comes to its end")
    func namesUnreadableObjects() async throws {
        try await with { fixture, _ in
            for key in try await fixture.keys("") where key.kind != .config && key.kind != .keySlot {
                let fault = Fault(.failBefore(.permanent(.damaged)), on: .get, keys: .exactly(key), occurrence: .every)
                let store = FaultyStore(fixture.memory, faults: [fault])
                let target = TargetDataMover(store: store)
                let repository = try await Repository.open(at: target, password: .test, cacheRoot: nil)
                let summary = try await RepositoryCheck(repository, data: .all).run()
                #expect(summary.findings.contains { $0.key == key.path }, "\(key): \(summary.findings.map(\.key))")
                try store.verifyAllFired()
            }
        }
    }

    @Test("A snapshot that is gone is named, and is no error: it may have been forgotten")
    func absentSnapshot() async throws {
        try await with { fixture, ids in
            #expect(try await fixture.check().absentSnapshots.isEmpty)
            try await fixture.target.delete([.named(.snapshot, ids[1])])
            let summary = try await fixture.check()
            #expect(summary.findings.isEmpty)
            #expect(summary.absentSnapshots == [ids[1]])
        }
    }

    @Test("A gap in the configurations is a warning")
    func missingConfiguration() async throws {
        try await with { fixture, _ in
            _ = try await RepositoryKeys.open(at: fixture.target, password: .test).rotate(cost: .test)
            let keys = try await fixture.keys(.config)
            #expect(keys.count == 2)
            try await fixture.target.delete([#require(keys.first { $0.generation == 1 })])
            let findings = try await fixture.check().findings
            #expect(findings.map(\.key) == ["config/1"])
            #expect(findings.map(\.severity) == [.warning])
        }
    }

    @Test("A missing data pack is named with the files that need it")
    func missingDataPack() async throws {
        try await with { fixture, ids in
            let repository = try await fixture.open()
            let chunk = first.bytes.prefix(TestFile.chunkLength)
                .withUnsafeBytes { repository.ids.id(of: $0, type: .data) }
            let pack = repository.index.pack(try #require(repository.index.find(chunk)).packNumber)
            try await fixture.target.delete([pack.key])
            let finding = try #require(await fixture.check().findings.first { $0.key == pack.key.path })
            #expect(finding.severity == .error)
            #expect(finding.remedy == .repairIndex)
            let harm = try #require(finding.harm.first { $0.snapshot == ids[0] })
            #expect(harm.firstPaths.contains(path(first)))
            #expect(harm.entries == UInt64(harm.firstPaths.count))
        }
    }

    @Test("A changed chunk hurts only the files that have it, in every snapshot that has them")
    func changedChunk() async throws {
        try await with { fixture, ids in
            let repository = try await fixture.open()
            let chunk = shared.bytes.prefix(TestFile.chunkLength)
                .withUnsafeBytes { repository.ids.id(of: $0, type: .data) }
            let record = try #require(repository.index.find(chunk))
            let key = repository.index.pack(record.packNumber).key
            try await fixture.flipBit(of: key, at: Int(record.blob.offset) * 8 + 500)
            #expect(try await fixture.check().findings.isEmpty)
            let findings = try await fixture.check(.all).findings
            #expect(findings.map(\.key) == [key.path])
            #expect(Set(findings[0].harm.map(\.snapshot)) == Set(ids))
            for harm in findings[0].harm { #expect(harm.firstPaths == [path(shared)]) }
        }
    }

    @Test("A chunk of a long file is traced through its content list")
    func changedChunkOfList() async throws {
        try await with { fixture, ids in
            let repository = try await fixture.open()
            let chunk = second.bytes.suffix(second.bytes.count % TestFile.chunkLength)
                .withUnsafeBytes { repository.ids.id(of: $0, type: .data) }
            let record = try #require(repository.index.find(chunk))
            let key = repository.index.pack(record.packNumber).key
            try await fixture.flipBit(of: key, at: Int(record.blob.offset) * 8 + 500)
            let finding = try #require(await fixture.check(.all).findings.first)
            #expect(finding.harm.map(\.snapshot) == [ids[1]])
            #expect(finding.harm.first?.firstPaths == [path(second)])
        }
    }

    @Test("A missing metadata pack hurts whole snapshots")
    func missingMetadataPack() async throws {
        try await with { fixture, ids in
            try await fixture.target.delete(fixture.keys(.metadataPack))
            let summary = try await fixture.check()
            #expect(Set(summary.findings.flatMap(\.harm).map(\.snapshot)) == Set(ids))
            #expect(summary.findings.allSatisfy { $0.key.hasPrefix("packs/m/") })
        }
    }

    @Test("Without an index everything is hurt, packs are not known, and repair index helps")
    func missingIndex() async throws {
        try await with { fixture, ids in
            try await fixture.target.delete(fixture.keys("index/"))
            let summary = try await fixture.check()
            let missing = try #require(summary.findings.first { $0.severity == .error })
            #expect(missing.remedy == .repairIndex)
            #expect(Set(missing.harm.map(\.snapshot)) == Set(ids))
            #expect(summary.warningCount == (try await fixture.keys("packs/").count))
            try await fixture.open().repairIndex()
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Refs that are missing, another's, or name too little are found")
    func badRefs() async throws {
        try await with { fixture, ids in
            let keys = try await fixture.keys(.refs)
            let mine = try #require(keys.first { $0.snapshot == ids[0] })
            let bytes = try await fixture.memory.get(mine, range: nil)
            try await fixture.target.delete([mine])
            let missing = try await fixture.check()
            #expect(missing.findings.map(\.key) == ["refs/\(ids[0].hex)/"])

            var refs = try Refs(decoding: bytes)
            refs = try Refs(snapshot: ids[0], generation: 1, packs: Array(refs.resolve().dropLast()))
            let object = try refs.encode()
            let name = ObjectName(hashOf: object)
            _ = try await fixture.target.store(
                SealedObject(key: .refs(snapshot: ids[0], name), bytes: object, sha256: name)
            )
            let little = try await fixture.check()
            #expect(little.findings.map(\.key) == ["refs/\(ids[0].hex)/"])
            #expect(little.errorCount == 1)

            // Of several generations the highest counts, whatever the others name.
            let full = try Refs(decoding: bytes).resolve()
            for (generation, packs, errors) in [(2, full, 0), (3, Array(full.dropLast()), 1)] as [(UInt32, _, _)] {
                let refs = try Refs(snapshot: ids[0], generation: generation, packs: packs).sealed()
                _ = try await fixture.target.store(refs)
                #expect(try await fixture.check().errorCount == errors)
            }
        }
    }

    @Test("A chunk that lies in two packs needs only one of them in the refs")
    func doubleChunks() async throws {
        try await TestRepository.with { fixture in
            // Two sessions that don't know of one another store the same.
            let sessions = try await [TestSession(fixture.open()), TestSession(fixture.open())]
            for session in sessions { _ = try await session.backUp([shared, second]) }
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Findings come one by one, and a cancelled check ends")
    func streams() async throws {
        try await with { fixture, _ in
            try await fixture.target.delete(fixture.keys(.dataPack))
            let found = Mutex(0)
            let summary = try await RepositoryCheck(fixture.open()).run { event in
                if case .found = event { found.withLock { $0 += 1 } }
            }
            #expect(found.withLock { $0 } == summary.findings.count)

            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .get, keys: .kind(.metadataPack), occurrence: .every))
            let check = try await RepositoryCheck(fixture.open())
            await #expect(throws: CancellationError.self) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try await check.run() }
                    try await gate.waitForArrivals(1)
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
        }
    }

    /// What a check is about when another machine forgets a snapshot and prunes.
    enum Moment: CaseIterable {
        case reading, trees, refs, refsObjects

        var fault: (operation: StoreOperation, keys: Fault.Keys) {
            switch self {
            case .reading: (.get, .kind(.dataPack))
            case .trees: (.get, .kind(.metadataPack))
            case .refs: (.list, .kind(.refs))
            case .refsObjects: (.get, .kind(.refs))
            }
        }
    }

    @Test("What a prune moves and deletes meanwhile is no damage", arguments: Moment.allCases)
    func besidePrune(moment: Moment) async throws {
        try await TestRepository.with { fixture in
            let files = [TestFile("a", count: 3_000_000, seed: 1), TestFile("b", count: 1_000_000, seed: 2)]
            let id = try await fixture.backUp(files)
            let kept = try await fixture.backUp([files[1]], at: 1_800_000_100)
            let gate = Gate()
            let (operation, keys) = moment.fault
            let check = try await RepositoryCheck(fixture.open(cache: false), data: moment == .reading ? .all : .none)
            fixture.store.add(Fault(.hold(gate), on: operation, keys: keys, occurrence: .only(1)))
            async let summary = check.run()
            try await gate.waitForArrivals(1)
            let repository = try await fixture.open()
            try await repository.forget([id])
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            options.grace = .none
            let pruned = try await Pruner(repository, options: options, now: { Timestamp(seconds: 2_000_000_000) })
                .run()
            #expect(pruned.deleted.count > 1 && pruned.movedBytes > 0)
            gate.open()
            let findings = try await summary.findings
            #expect(findings.isEmpty, "\(findings)")
            try await fixture.open(cache: false).expect([files[1]], in: kept)
        }
    }

    @Test("A failing storage is no finding")
    func storageFails() async throws {
        try await with { fixture, _ in
            for kind in [ObjectKind.metadataPack, .dataPack, .refs, .snapshot, .dataIndex] {
                fixture.store.add(Fault(.failBefore(.transient()), on: .get, keys: .kind(kind)))
                await expectCode(.unavailable) { try await fixture.check(.all) }
            }
            try fixture.store.verifyAllFired()
        }
    }
}
