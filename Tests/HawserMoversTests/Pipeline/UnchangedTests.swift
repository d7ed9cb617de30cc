import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import Testing

@testable import HawserMovers

@Suite("What counts as unchanged")
struct UnchangedTests {
    private static let length: UInt64 = 600_000

    private static var file: GeneratedNode { GeneratedNode("/data/file", .file, [.noise(seed: 1, length: length)]) }

    /// Whether the second backup reads the file.
    private func isRead(
        _ second: GeneratedNode,
        after first: GeneratedNode = file,
        options: (inout BackupOptions) -> Void = { _ in }
    ) async throws -> Bool {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([first]))
            let source = GeneratedSource([second])
            let summary = try await fixture.backUp(source, options)
            try await fixture.expect(source.nodes, in: summary)
            if first.entry.changed == second.entry.changed {
                #expect(summary.files.unmodified == (source.bytesRead() == 0 ? 1 : 0))
            }
            return source.bytesRead() > 0
        }
    }

    @Test("Everything the same: not read")
    func same() async throws {
        #expect(try await !isRead(Self.file))
    }

    @Test("Size, mtime, ctime or inode differ: read", arguments: ["size", "mtime", "ctime", "inode"])
    func differs(field: String) async throws {
        var file = Self.file
        switch field {
        case "size": file.set([.noise(seed: 2, length: Self.length + 1)])
        case "mtime": file.entry.modified.nanoseconds += 1
        case "ctime": file.entry.changed.nanoseconds += 1
        default: file.entry.inode += 1
        }
        #expect(try await isRead(file))
    }

    @Test("--ignore-inode passes over the inode only")
    func ignoresInode() async throws {
        var file = Self.file
        file.entry.inode += 1
        #expect(try await !isRead(file) { $0.ignoresInode = true })
        file.entry.changed.seconds += 1
        #expect(try await isRead(file) { $0.ignoresInode = true })
    }

    @Test("--ignore-ctime passes over the change time only")
    func ignoresChangeTime() async throws {
        var file = Self.file
        file.entry.changed.seconds += 1
        #expect(try await !isRead(file) { $0.ignoresChangeTime = true })
        file.entry.modified.seconds += 1
        #expect(try await isRead(file) { $0.ignoresChangeTime = true })
    }

    @Test("--ignore-ctime takes attributes anew when the change time differs")
    func ignoredChangeTimeOfAttributes() async throws {
        try await PipelineFixture.with { fixture in
            var file = Self.file
            func set(_ value: UInt8) {
                file.entry.attributes = [ExtendedAttribute(name: Array("user.a".utf8), value: [value])]
            }
            set(1)
            try await fixture.backUp(GeneratedSource([file]))
            set(2)
            file.entry.changed.seconds += 1
            let source = GeneratedSource([file])
            let summary = try await fixture.backUp(source) { $0.ignoresChangeTime = true }
            #expect(source.bytesRead() == 0)
            let repository = try await fixture.open()
            let root = try await repository.snapshot(#require(summary.snapshotID)).root
            let entry = try await repository.entry(at: file.entry.path, of: root)
            #expect(entry?.attributes == file.entry.attributes)
            #expect(entry?.content != nil)
        }
    }

    @Test("--force reads everything")
    func force() async throws {
        #expect(try await isRead(Self.file) { $0.force = true })
    }

    @Test("Changed less than two seconds before the backup began: read, because a coarse clock would not show more")
    func recentChange() async throws {
        var file = Self.file
        // Still within the two seconds however long the test takes to get there.
        file.entry.changed = Timestamp.now
        file.entry.changed.seconds += 3600
        #expect(try await isRead(file, after: file))
        file.entry.changed.seconds -= 3660
        #expect(try await !isRead(file, after: file))
    }

    @Test("Marked as changed while it was read: read again")
    func changedWhileRead() async throws {
        var file = Self.file
        var afterwards = file.entry
        afterwards.modified.seconds += 5
        file.afterwards = afterwards
        #expect(try await isRead(Self.file, after: file))
    }

    @Test("The mark is in the entry")
    func mark() async throws {
        try await PipelineFixture.with { fixture in
            for length in [100, 600_000] as [UInt64] {
                var file = GeneratedNode("/data/file", .file, [.noise(seed: 1, length: length)])
                var afterwards = file.entry
                afterwards.modified.seconds += 5
                file.afterwards = afterwards
                let summary = try await fixture.backUp(GeneratedSource([file])) { $0.force = true }
                let repository = try await fixture.open()
                let entry = try await repository.entry(
                    at: file.entry.path,
                    of: repository.snapshot(#require(summary.snapshotID)).root
                )
                #expect(entry?.changedWhileRead == true)
            }
        }
    }

    @Test("A kind that changed is no file that is unchanged")
    func kind() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([GeneratedNode("/data/x", .directory)]))
            let source = GeneratedSource([GeneratedNode("/data/x", .file)])
            try await fixture.expect(source.nodes, in: fixture.backUp(source))
        }
    }

    @Test("A chunk that no index segment names any more: read and stored again")
    func missingChunk() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([Self.file]))
            let packs = try await fixture.keys(.dataPack)
            try await fixture.memory.delete(fixture.keys(.dataIndex) + packs)
            let source = GeneratedSource([Self.file])
            let summary = try await fixture.backUp(source)
            #expect(source.bytesRead() == Self.length)
            try await fixture.expect(source.nodes, in: summary)
        }
    }

    @Test("A content list with a missing chunk: read and stored again")
    func missingChunkOfList() async throws {
        try await PipelineFixture.with { fixture in
            let file = ManyExtents.node("/data/file")
            let first = try await fixture.backUp(GeneratedSource([file]))
            #expect(first.dataAdded > 0)
            try await fixture.memory.delete(fixture.keys(.dataIndex) + fixture.keys(.dataPack))
            let source = GeneratedSource([file])
            let summary = try await fixture.backUp(source)
            #expect(source.bytesRead() > 0)
            try await fixture.expect(source.nodes, in: summary)
        }
    }

    @Test("A parent whose tree can't be read only costs reading")
    func damagedParent() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([Self.file]))
            for key in try await fixture.keys(.metadataPack) { fixture.memory.replace(key, with: [1, 2, 3]) }
            let source = GeneratedSource([Self.file])
            _ = try await fixture.backUp(source)
            #expect(source.bytesRead() == Self.length)
        }
    }

    @Test("Nothing changed and asked to skip: no snapshot")
    func skips() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([Self.file]))
            let summary = try await fixture.backUp(GeneratedSource([Self.file])) { $0.skipsIfUnchanged = true }
            #expect(summary.snapshotID == nil)
            #expect(try await fixture.keys(.snapshot).count == 1)
        }
    }

    @Test("Chunks stored again by a backup that skips its snapshot serve the next one")
    func skippedChunksAreIndexed() async throws {
        try await PipelineFixture.with { fixture in
            try await fixture.backUp(GeneratedSource([Self.file]))
            try await fixture.memory.delete(fixture.keys(.dataIndex) + fixture.keys(.dataPack))
            let repository = try await fixture.open()
            try await fixture.backUp(GeneratedSource([Self.file]), in: repository) { $0.skipsIfUnchanged = true }
            let source = GeneratedSource([Self.file])
            try await fixture.expect(source.nodes, in: fixture.backUp(source, in: repository))
            #expect(source.bytesRead() == 0)
        }
    }

    @Test("A dry run stores nothing and leaves nothing behind for the next backup")
    func dryRun() async throws {
        try await PipelineFixture.with { fixture in
            let repository = try await fixture.open()
            let count = fixture.memory.count
            let dry = try await fixture.backUp(GeneratedSource([Self.file]), in: repository) { $0.dryRun = true }
            #expect(dry.snapshotID == nil && dry.dataAdded >= Self.length)
            #expect(fixture.memory.count == count)
            let source = GeneratedSource([Self.file])
            try await fixture.expect(source.nodes, in: fixture.backUp(source, in: repository))
        }
    }
}
