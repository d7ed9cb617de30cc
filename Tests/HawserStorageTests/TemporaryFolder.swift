import Foundation
import HawserStorage
import Synchronization

/// Tells one task that another has come somewhere.
final class Flag: Sendable {
    private let state = Mutex(false)

    var isRaised: Bool { state.withLock { $0 } }

    func raise() {
        state.withLock { $0 = true }
    }
}

/// An empty folder for the time of `body`.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/hawser-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

func withFolderStore<Result>(_ body: (FolderStore, String) async throws -> Result) async throws -> Result {
    try await withTemporaryFolder { path in
        let store = try await FolderStore.open(path)
        return try await body(store, path)
    }
}

/// All files below a folder, relative to it.
func files(below path: String) -> [String] {
    (FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []).filter { name in
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder) && !isFolder.boolValue
    }.sorted()
}

/// A file system in memory of its own, where the process may mount one.
enum SmallFileSystem {
    static let isAvailable: Bool = {
        let path = FileManager.default.temporaryDirectory.path + "/hawser-tests-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        guard mount(at: path, "size=64k") else { return false }
        unmount(path)
        return true
    }()

    static func with(_ options: String, _ body: (String) async throws -> Void) async throws {
        try await withTemporaryFolder { path in
            guard mount(at: path, options) else { throw CocoaError(.fileWriteUnknown) }
            defer { unmount(path) }
            try await body(path)
        }
    }

    static func mount(at path: String, _ options: String) -> Bool {
        run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
    }

    static func remount(_ path: String, _ options: String) -> Bool {
        run("mount", "-o", "remount," + options, path)
    }

    private static func unmount(_ path: String) {
        // Lazily: an open descriptor of a failed test must not leave the mount behind.
        _ = run("umount", "-l", path)
    }

    private static func run(_ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = nil
        do { try process.run() } catch { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
