import CHawser
import Foundation
import Glibc
import HawserFormat
import HawserRepository
import HawserStorage
import HawserTesting
import Testing

@testable import HawserMovers

@Suite("Restoring a snapshot")
struct RestoreRunTests {
    private static let nodes: [GeneratedNode] = {
        var nodes = GeneratedTree.thresholds.map {
            GeneratedNode("/data/size\($0)", .file, $0 == 0 ? [] : [.noise(seed: $0, length: $0)])
        }
        nodes.append(ManyExtents.node("/data/many"))
        nodes.append(GeneratedNode("/data/sub/zeros", .file, [.zeros(length: 3 << 20), .noise(seed: 3, length: 100)]))
        nodes.append(
            GeneratedNode(
                "/data/sub/sparse",
                .file,
                [.hole(length: 1 << 40), .noise(seed: 4, length: 700_000), .hole(length: 1 << 30)]
            )
        )
        let part = Stretch.noise(seed: 9, length: 5 << 20)
        nodes.append(GeneratedNode("/data/sub/twice", .file, [part, .dull(seed: 2, length: 1 << 20), part]))
        nodes.append(GeneratedNode("/data/sub/once", .file, [part]))
        var link = GeneratedNode("/data/sub/link", .symlink)
        link.entry.linkTarget = Array("../many".utf8)
        return nodes + [link, GeneratedNode("/data/empty", .directory)]
    }()

    private func restore(
        _ fixture: PipelineFixture,
        _ summary: BackupSummary,
        to name: String = "target",
        from repository: Repository? = nil,
        _ change: (inout RestoreRequest) throws -> Void = { _ in }
    ) async throws -> RestoreSummary {
        let opened = if let repository { repository } else { try await fixture.openElsewhere() }
        let id = try #require(summary.snapshotID)
        var request = RestoreRequest(try await opened.snapshot(id), target: Array((fixture.folder + "/" + name).utf8))
        request.memory = 96 << 20
        try change(&request)
        return try await RestoreMover(opened, request).run()
    }

    /// Whether a restored file has exactly this content.
    private func isSame(_ path: String, _ content: [Stretch]) -> Bool {
        let descriptor = Glibc.open(path, O_RDONLY)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size == Int(content.length) else { return false }
        var offset: UInt64 = 0
        for stretch in content {
            let end = offset + stretch.length
            // Of a hole only its ends: it may have a terabyte.
            var positions = stretch.isHole ? [offset, end - min(stretch.length, 4096)] : []
            if positions.isEmpty { positions = Array(stride(from: offset, to: end, by: 1 << 20)) }
            for position in positions {
                let count = Int(min(stretch.isHole ? 4096 : 1 << 20, end - position))
                var bytes = [UInt8](repeating: 1, count: count)
                guard pread(descriptor, &bytes, count, Int(position)) == count else { return false }
                if bytes != content.bytes(at: position, count: count) { return false }
            }
            offset = end
        }
        return true
    }

    private func expect(_ nodes: [GeneratedNode], below target: String, without missing: Set<String> = []) {
        for node in nodes where node.entry.kind == .file {
            let path = String(node.entry.path.description.dropFirst(6))
            if missing.contains(path) {
                #expect(access(target + "/data/" + path, F_OK) != 0, "\(path)")
            } else {
                #expect(isSame(target + "/data/" + path, node.content), "\(path)")
            }
        }
    }

    @Test("Everything comes back, holes as holes, and verifying agrees")
    func everything() async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource(Self.nodes)
            let backup = try await fixture.backUp(source)
            let summary = try await restore(fixture, backup) { $0.verifies = true }
            #expect(summary.problems.isEmpty, "\(summary.problems.map { "\($0.path): \($0.error)" })")
            #expect(summary.filesRestored == backup.files.total && summary.filesVerified == backup.files.total)
            let target = fixture.folder + "/target"
            expect(source.nodes, below: target)
            var status = stat()
            #expect(stat(target + "/data/sub/sparse", &status) == 0 && status.st_blocks < 4096)
            #expect(status.st_mtim.tv_sec == 1_500_000_000 && status.st_mtim.tv_nsec == 1)
        }
    }

    @Test("What a prune has moved and deleted since the index was read is found where it lies now")
    func movedMeanwhile() async throws {
        try await PipelineFixture.with { fixture in
            let dead = GeneratedNode("/data/dead", .file, [.noise(seed: 77, length: 3 << 20)])
            let first = try await fixture.backUp(GeneratedSource(Self.nodes + [dead]))
            let source = GeneratedSource(Self.nodes)
            let second = try await fixture.backUp(source)
            let before = try await fixture.openElsewhere()
            let pruned = try await fixture.openElsewhere()
            try await pruned.forget([try #require(first.snapshotID)])
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            options.grace = .none
            let prune = try await Pruner(pruned, options: options, now: { .now }).run()
            #expect(prune.movedBytes > 0 && prune.deleted.count > 0)
            let summary = try await restore(fixture, second, from: before)
            #expect(summary.problems.isEmpty, "\(summary.problems.map { "\($0.path): \($0.error)" })")
            expect(source.nodes, below: fixture.folder + "/target")
        }
    }

    @Test("Verifying finds a changed byte, and names the file")
    func verify() async throws {
        try await PipelineFixture.with { fixture in
            let backup = try await fixture.backUp(GeneratedSource(Self.nodes))
            _ = try await restore(fixture, backup)
            for name in ["size513", "sub/once", "many", "sub/sparse"] {
                let path = fixture.folder + "/target/data/" + name
                let descriptor = Glibc.open(path, O_RDWR)
                var byte = UInt8(0)
                let offset = name == "sub/sparse" ? (1 << 40) + 100 : 100
                #expect(pread(descriptor, &byte, 1, offset) == 1)
                byte ^= 1
                #expect(pwrite(descriptor, &byte, 1, offset) == 1)
                // As if nothing had happened.
                var times = [timespec(tv_sec: 1_500_000_000, tv_nsec: 1), timespec(tv_sec: 1_500_000_000, tv_nsec: 1)]
                #expect(futimens(descriptor, &times) == 0)
                close(descriptor)
            }
            let summary = try await restore(fixture, backup) {
                $0.verifies = true
                $0.options.overwrite = .never
            }
            let named = Set(summary.problems.map { $0.path.description })
            #expect(named == ["/data/size513", "/data/sub/once", "/data/many", "/data/sub/sparse"])
        }
    }

    @Test("A subtree, and single files, land at the top of the target")
    func subtree() async throws {
        try await PipelineFixture.with { fixture in
            let backup = try await fixture.backUp(GeneratedSource(Self.nodes))
            let below = try await restore(fixture, backup) { $0.subtree = GeneratedNode("/data/sub").entry.path }
            #expect(below.filesRestored == 4)
            #expect(isSame(fixture.folder + "/target/zeros", [.zeros(length: 3 << 20), .noise(seed: 3, length: 100)]))
            let single = try await restore(fixture, backup, to: "single") {
                $0.subtree = GeneratedNode("/data/size513").entry.path
            }
            #expect(single.filesRestored == 1)
            #expect(isSame(fixture.folder + "/single/size513", [.noise(seed: 513, length: 513)]))
            await expectCode(.notFound) {
                try await restore(fixture, backup, to: "none") { $0.subtree = GeneratedNode("/data/none").entry.path }
            }
        }
    }

    @Test("Includes and excludes choose files")
    func patterns() async throws {
        try await PipelineFixture.with { fixture in
            let backup = try await fixture.backUp(GeneratedSource(Self.nodes))
            let summary = try await restore(fixture, backup) {
                $0.include.append(try PathPattern(Array("/data/sub".utf8)))
                $0.exclude.append(try PathPattern(Array("tw*".utf8)))
            }
            #expect(summary.filesRestored == 3)
            let target = fixture.folder + "/target/data"
            #expect(access(target + "/sub/once", F_OK) == 0)
            #expect(access(target + "/sub/twice", F_OK) != 0)
            #expect(access(target + "/many", F_OK) != 0)
        }
    }

    @Test("Again over what is there: kept, replaced or left alone, as the policy says")
    func policies() async throws {
        try await PipelineFixture.with { fixture in
            let backup = try await fixture.backUp(GeneratedSource(Self.nodes))
            let count = backup.files.total
            _ = try await restore(fixture, backup)
            let kept = try await restore(fixture, backup) { $0.options.overwrite = .ifChanged }
            #expect(kept.filesKept == count && kept.filesRestored == 0 && kept.bytesRestored == 0)
            let path = fixture.folder + "/target/data/size100000"
            #expect(truncate(path, 5) == 0)
            let repaired = try await restore(fixture, backup) { $0.options.overwrite = .ifChanged }
            #expect(repaired.filesRestored == 1)
            #expect(isSame(path, [.noise(seed: 100_000, length: 100_000)]))
            #expect(truncate(path, 5) == 0)
            _ = try await restore(fixture, backup) { $0.options.overwrite = .never }
            #expect(!isSame(path, [.noise(seed: 100_000, length: 100_000)]))
            let all = try await restore(fixture, backup)
            #expect(all.filesRestored == count)
            expect(Self.nodes, below: fixture.folder + "/target")
        }
    }

    @Test("Hard links come back as links, also when only some of the names are restored")
    func hardLinks() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = ["a/1", "a/2", "b/3", "c/4"].map { name in
                var node = GeneratedNode("/data/" + name, .file, [.noise(seed: 1, length: 3 << 20)])
                node.entry.linkGroup = 1
                node.entry.inode = 99
                return node
            }
            let backup = try await fixture.backUp(GeneratedSource(nodes))
            _ = try await restore(fixture, backup)
            _ = try await restore(fixture, backup, to: "part") {
                $0.include.append(try PathPattern(Array("/data/b".utf8)))
            }
            var status = stat()
            #expect(stat(fixture.folder + "/target/data/c/4", &status) == 0 && status.st_nlink == 4)
            #expect(stat(fixture.folder + "/part/data/b/3", &status) == 0 && status.st_nlink == 1)
            #expect(isSame(fixture.folder + "/target/data/a/2", nodes[0].content))
            #expect(isSame(fixture.folder + "/part/data/b/3", nodes[0].content))
        }
    }

    @Test(
        "Where links can't be made every name gets the content and what else the entry has",
        .enabled(if: geteuid() == 0, "Mounting needs root.")
    )
    func linksAcrossFileSystems() async throws {
        try await PipelineFixture.with { fixture in
            let names = ["a/1", "b/1", "b/2", "b/3", "c/4"]
            var nodes = names.map { name in
                var node = GeneratedNode("/data/" + name, .file, [.noise(seed: 1, length: 3 << 20)])
                node.entry.linkGroup = 1
                node.entry.inode = 99
                return node
            }
            for name in ["a/pipe", "b/pipe"] {
                var node = GeneratedNode("/data/" + name, .fifo)
                node.entry.linkGroup = 2
                nodes.append(node)
            }
            let backup = try await fixture.backUp(GeneratedSource(nodes))
            let other = fixture.folder + "/target/data/b"
            try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
            guard mount("tmpfs", other, "tmpfs", 0, "size=32m") == 0 else {
                return withKnownIssue("No mounts here.") { Issue.record() }
            }
            defer { umount2(other, Int32(MNT_DETACH)) }
            let summary = try await restore(fixture, backup) { $0.verifies = true }
            #expect(summary.problems.isEmpty, "\(summary.problems.map { "\($0.path): \($0.error)" })")
            expect(nodes, below: fixture.folder + "/target")
            var status = stat()
            #expect(stat(fixture.folder + "/target/data/c/4", &status) == 0 && status.st_nlink == 2)
            #expect(stat(other + "/3", &status) == 0 && status.st_nlink == 1)
            #expect(stat(other + "/pipe", &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        }
    }

    @Test("Long attributes fill a window as open files and extents do")
    func windowsByAttributes() throws {
        var entry = Entry(path: try #require(EntryPath("a".utf8)), kind: .file)
        entry.attributes = [ExtendedAttribute(name: Array("user.x".utf8), value: [UInt8](repeating: 1, count: 1 << 20))]
        let id = try #require(ChunkID([UInt8](repeating: 1, count: 32)))
        for isOpen in [false, true] {
            var window = RestoreWindow(RestoreQueue(StageMeter(.plan, width: 1)))
            var count = 0
            while !window.isFull {
                if isOpen { window.open(entry) } else { window.add(id, length: 1, to: .whole(entry)) }
                count += 1
            }
            #expect(count == 3)
        }
    }

    enum Damage: CaseIterable { case flipped, truncated, removed, emptied }

    @Test(
        "A damaged data pack: exactly the files that need it are named, all others are whole",
        arguments: Damage.allCases
    )
    func damagedPack(damage: Damage) async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource(Self.nodes)
            let backup = try await fixture.backUp(source)
            let hurt = GeneratedSource(
                ["hurt1", "hurt2"].map {
                    GeneratedNode("/data/" + $0, .file, [.noise(seed: 1000, length: 600_000)])
                } + [ManyExtents.node("/data/hurt3", seed: 5)] + Self.nodes
            )
            let before = try await Set(fixture.keys(.dataPack))
            let second = try await fixture.backUp(hurt)
            _ = backup
            for key in try await fixture.keys(.dataPack) where !before.contains(key) {
                let bytes = try await fixture.memory.get(key, range: nil)
                switch damage {
                case .flipped:
                    // One bit in each 1,000 bytes hits every chunk.
                    var changed = bytes
                    for index in stride(from: 0, to: bytes.count, by: 1000) { changed[index] ^= 4 }
                    fixture.memory.replace(key, with: changed)
                case .truncated: fixture.memory.replace(key, with: Array(bytes.prefix(20)))
                case .removed: try await fixture.memory.delete([key])
                case .emptied: fixture.memory.replace(key, with: [])
                }
            }
            let summary = try await restore(fixture, second)
            let named = summary.problems.map { $0.path.description }.sorted()
            #expect(named == ["/data/hurt1", "/data/hurt2", "/data/hurt3"])
            #expect(summary.problemCount == 3)
            expect(hurt.nodes, below: fixture.folder + "/target", without: ["hurt1", "hurt2", "hurt3"])
        }
    }

    @Test("A pack that was cut short still gives what lies before the cut")
    func cutPack() async throws {
        try await PipelineFixture.with { fixture in
            let nodes = (0..<12).map {
                GeneratedNode("/data/\($0)", .file, [.noise(seed: UInt64($0), length: 300_000)])
            }
            let backup = try await fixture.backUp(GeneratedSource(nodes))
            let keys = try await fixture.keys(.dataPack)
            for key in keys {
                let bytes = try await fixture.memory.get(key, range: nil)
                fixture.memory.replace(key, with: Array(bytes.prefix(bytes.count / 2)))
            }
            let summary = try await restore(fixture, backup)
            #expect((1..<12).contains(summary.filesRestored))
            #expect(Int(summary.filesRestored) + summary.problemCount == 12)
            let missing = Set(summary.problems.map { String($0.path.description.dropFirst(6)) })
            expect(nodes, below: fixture.folder + "/target", without: missing)
        }
    }

    @Test("A damaged page of the tree: named once, the rest is restored, and nothing is deleted")
    func damagedPage() async throws {
        try await PipelineFixture.with { fixture in
            let small = (0..<3000).map {
                GeneratedNode("/data/\(10_000 + $0)", .file, [.noise(seed: UInt64($0), length: 50)])
            }
            let backup = try await fixture.backUp(GeneratedSource(small))
            _ = try await restore(fixture, backup)
            let repository = try await fixture.openElsewhere()
            let root = try await repository.snapshot(#require(backup.snapshotID)).root
            let leaves = try await leaves(below: (root.id, root.height), BlobReader(repository))
            let leaf = try #require(leaves.dropFirst().first)
            let record = try #require(repository.index.find(leaf.id))
            let key = repository.index.pack(record.packNumber).key
            var bytes = try await fixture.memory.get(key, range: nil)
            bytes[Int(record.blob.offset) + 30] ^= 1
            fixture.memory.replace(key, with: bytes)

            let summary = try await restore(fixture, backup) {
                $0.verifies = true
                $0.options.deletes = true
            }
            #expect(summary.problemCount == 1)
            let problem = try #require(summary.problems.first)
            #expect(problem.path == leaf.first)
            #expect(problem.error.message.contains("to the one before \(leaves[2].first) are missing"))
            #expect(summary.filesDeleted == 0)
            #expect(Int(summary.filesRestored) == 3000 - Int(leaf.entryCount))
            expect(small, below: fixture.folder + "/target")
        }
    }

    private func leaves(below page: (id: ChunkID, level: Int), _ reader: BlobReader) async throws -> [TreeChild] {
        let page = try TreePage(decoding: await reader.read(page.id, type: .treePage), level: page.level)
        guard case .children(let children) = page.items else { return [] }
        if page.level == 1 { return children }
        var leaves: [TreeChild] = []
        for child in children { leaves += try await self.leaves(below: (child.id, page.level - 1), reader) }
        return leaves
    }

    @Test("Cancelled while it fetches: it ends, and leaves no half file")
    func cancelled() async throws {
        try await PipelineFixture.with { fixture in
            let backup = try await fixture.backUp(GeneratedSource(Self.nodes))
            let repository = try await fixture.open()
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .get, keys: .kind(.dataPack), occurrence: .from(2)))
            let job = Task { try await restore(fixture, backup, from: repository) }
            try await gate.waitForArrivals(1)
            job.cancel()
            await #expect(throws: CancellationError.self) { try await job.value }
            let target = fixture.folder + "/target"
            for node in Self.nodes where node.entry.kind == .file {
                let path = target + node.entry.path.description
                #expect(access(path, F_OK) != 0 || isSame(path, node.content))
            }
            gate.open()
            #expect(try await restore(fixture, backup).problems.isEmpty)
            expect(Self.nodes, below: target)
        }
    }

    @Test("More files and extents than one window holds")
    func windows() async throws {
        try await PipelineFixture.with { fixture in
            // Every file has two extents, so each is open until the window is fetched.
            let nodes = (0..<600).map { number in
                GeneratedNode(
                    "/data/\(1000 + number)",
                    .file,
                    [.noise(seed: UInt64(number), length: 600), .hole(length: 5000)]
                )
            }
            let backup = try await fixture.backUp(GeneratedSource(nodes))
            let summary = try await restore(fixture, backup) { $0.verifies = true }
            #expect(summary.problems.isEmpty && summary.filesRestored == 600)
            expect(nodes, below: fixture.folder + "/target")
        }
    }
}
