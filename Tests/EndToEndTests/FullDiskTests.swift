import Foundation
import Testing

/// A full disk under the repository or the cache, with file systems in memory.
@Suite("A full disk")
struct FullDiskTests {
    private static let isPossible: Bool = {
        guard let directory = try? TemporaryDirectory(), let mount = try? SmallMount(at: directory.path, "64k") else {
            return false
        }
        mount.end()
        return true
    }()

    @Test(
        "under the repository: exit 1 and the reason; with more room the next run is whole",
        .enabled(if: isPossible, "This process may not mount a file system.")
    )
    func repository() async throws {
        let bench = try Workbench()
        for name in ["a", "b", "c"] { try bench.write(name, bytes: 8 << 20) }
        let mount = try SmallMount(at: bench.repository, "8m")
        defer { mount.end() }
        try await bench.hawser("init").expect(0)
        let result = try await bench.hawser("backup", bench.source)
        result.expect(1)
        #expect(result.allText.contains("is full"), "\(result)")
        #expect(try await bench.snapshots().isEmpty)

        try mount.resize("64m")
        let backup = try await bench.backup()
        try await bench.hawser("check", "--read-data").expect(0)
        try await bench.restore(backup.snapshot, to: "target").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
    }

    @Test(
        "under the cache: it stops nothing",
        .enabled(if: isPossible, "This process may not mount a file system.")
    )
    func cache() async throws {
        let bench = try Workbench()
        for index in 0..<50 { try bench.write("file-\(index)", bytes: 20_000) }
        let mount = try SmallMount(at: bench.cache, "4k")
        defer { mount.end() }
        try await bench.hawser("init").expect(0)
        let first = try await bench.backup()
        let second = try await bench.backup()
        #expect(second.summary["files_new"] as? Int == 0)
        try await bench.hawser("check", "--read-data").expect(0)
        try await bench.restore(first.snapshot, to: "target").expect(0)
        try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
    }
}

/// A file system in memory.
private struct SmallMount {
    private let path: String

    /// - Parameters:
    ///   - path: made if it is missing.
    ///   - size: as `mount` takes it.
    init(at path: String, _ size: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", path)
    }

    func resize(_ size: String) throws {
        try Self.run("mount", "-o", "remount,size=" + size, path)
    }

    /// Lazily: a command of a failed test may still have files open.
    func end() {
        try? Self.run("umount", "-l", path)
    }

    private struct Failed: Error {}

    private static func run(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed() }
    }
}
