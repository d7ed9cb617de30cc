import CHawser
import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct RestoreFileTests {
    private func write(_ file: RestoreFile, _ byte: UInt8, _ count: Int, at offset: UInt64) throws {
        try [UInt8](repeating: byte, count: count).withUnsafeBytes { try file.write($0, at: offset) }
    }

    @Test func holesStayHolesAndZerosAreAllocated() throws {
        let folder = try RestoreFolder()
        for sparse in [false, true] {
            let tree = try folder.tree { $0.sparse = sparse }
            let megabyte = 1 << 20
            let file = try begun(tree.makeFile(entry("f", size: 4 * megabyte)))
            try write(file, 7, megabyte, at: UInt64(2 * megabyte))
            try file.writeZeros(at: 0, count: UInt64(megabyte))
            try file.finish()
            let blocks = try #require(folder.status("f")).st_blocks * 512
            #expect((blocks + 4095) / megabyte == (sparse ? 1 : 2))
            let reader = try tree.openFile(path("f"))
            #expect(reader.size == UInt64(4 * megabyte))
            let second = try reader.nextData(from: UInt64(megabyte))
            #expect(second == UInt64(2 * megabyte)..<UInt64(3 * megabyte))
            #expect(try reader.nextData(from: UInt64(3 * megabyte)) == nil)
            var bytes = [UInt8](repeating: 9, count: 4)
            #expect(try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: UInt64(2 * megabyte - 2)) } == 4)
            #expect(bytes == [0, 0, 7, 7])
            #expect(try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: UInt64(4 * megabyte - 1)) } == 1)
        }
    }

    @Test func aTebibyteOfHolesTakesNoRoom() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        var large = entry("f", size: 1 << 40)
        large.content = .extents([.hole(length: 1 << 40)])
        let file = try begun(tree.makeFile(large))
        try file.finish()
        #expect(folder.status("f")?.st_size == 1 << 40)
        #expect(folder.status("f")?.st_blocks == 0)
    }

    @Test func roomIsReservedOnlyForContentWithoutHoles() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        let id = [UInt8](repeating: 1, count: 32).withUnsafeBytes { ChunkID($0) }
        var file = entry("dense", size: 1 << 20)
        file.content = .extents([.data(id, length: 1 << 19), .zero(length: 1 << 19)])
        let dense = try begun(tree.makeFile(file))
        try dense.finish()
        #expect(folder.status("dense")?.st_blocks == 2048)
        file.path = path("false")
        file.size = 1 << 30
        let wrong = try begun(tree.makeFile(file))
        try wrong.finish()
        #expect(folder.status("false")?.st_blocks == 0)
    }

    @Test func piecesBeyondTheSizeAreRefused() throws {
        let folder = try RestoreFolder()
        let file = try begun(folder.tree().makeFile(entry("f", size: 10)))
        #expect(code { try write(file, 1, 2, at: 9) } == .damaged)
        #expect(code { try write(file, 1, 2, at: .max) } == .damaged)
        #expect(code { try file.writeZeros(at: 1, count: .max) } == .damaged)
        try write(file, 1, 2, at: 8)
        try file.finish()
        #expect(code { try file.finish() } == .internalError)
    }

    @Test func manyThreadsWriteOneFile() async throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        let (piece, count) = (10_007, 400)
        let file = try begun(tree.makeFile(entry("f", size: piece * count)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for index in stride(from: count - 1 - worker, through: 0, by: -8) {
                        try [UInt8](repeating: UInt8(index % 251), count: piece).withUnsafeBytes {
                            try file.write($0, at: UInt64(index * piece))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        try file.finish()
        let reader = try tree.openFile(path("f"))
        var bytes = [UInt8](repeating: 0, count: piece * count + 1)
        #expect(try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) } == piece * count)
        #expect(
            (0..<count).allSatisfy { index in
                bytes[index * piece..<(index + 1) * piece].allSatisfy { $0 == UInt8(index % 251) }
            }
        )
    }

    @Test func manyThreadsRestoreIntoTheSameDirectories() async throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for index in 0..<300 { try tree.file("a\(index % 10)/b\(index % 7)/\(worker)-\(index)", "x") }
                }
            }
            try await group.waitForAll()
        }
        #expect((0..<10).map { folder.names("a\($0)").count } == Array(repeating: 7, count: 10))
    }

    @Test func aFullTargetStopsTheRestore() throws {
        // Linux has a device for it; the error is the same.
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let bytes = [UInt8](repeating: 1, count: 100)
        #expect(
            code { try bytes.withUnsafeBytes { try RestoreTree.write($0, to: full, at: 0, path("f")) } } == .storageFull
        )
    }

    @Test(.enabled(if: geteuid() == 0, "Mounting needs root."))
    func aFullFileSystemStopsTheRestoreAndKeepsTheOldFile() throws {
        let folder = try RestoreFolder()
        mkdir(folder.target, 0o700)
        guard folder.mount("tmpfs", on: "", "tmpfs", 0, "size=1m") else {
            return withKnownIssue("No mounts here.") { Issue.record() }
        }
        let tree = try folder.tree()
        try tree.file("f", "old")
        let large = String(repeating: "x", count: 2 << 20)
        #expect(code { try tree.file("f", large) } == .storageFull)
        #expect(code { try tree.file("new", large) } == .storageFull)
        #expect(code { _ = try tree.makeFile(entry("big", size: 2 << 20), preallocate: true) } == .storageFull)
        #expect(folder.read("f") == "old")
        #expect(folder.names() == ["f"])
    }
}
