import Foundation
import Hawser
import HawserTesting
import Testing

/// Repositories as each version of the format had them, in `Tests/Fixtures`: they are opened, checked and restored by
/// every later version. Made once, with `HAWSER_WRITE_FIXTURES=1`; never made again.
@Suite("Repositories of earlier versions")
struct FormatFixtureTests {
    private static let password = Secret("an old password")
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/repository-1").path

    /// The second shares a file with the first.
    private static let notes: [[String: [UInt8]]] = [
        ["shared": Corpus.incompressible(40_000, seed: 11), "small": Array("a few words".utf8), "empty": []],
        ["shared": Corpus.incompressible(40_000, seed: 11), "text": Corpus.incompressible(600, seed: 12)],
    ]

    private static func write() async throws {
        let store = try await FolderStore.open(folder, createIfMissing: true)
        try await Repository.create(
            in: store,
            password: password,
            cost: ScryptParameters(cost: 2, blockSize: 8, parallelism: 1)
        )
        for notes in notes {
            try await Repository.open(in: store, password: password).backup(NotesSource(notes: notes))
        }
    }

    @Test("Version 1 opens, is whole, and restores")
    func versionOne() async throws {
        if ProcessInfo.processInfo.environment["HAWSER_WRITE_FIXTURES"] != nil { try await Self.write() }
        let copy = FileManager.default.temporaryDirectory.appending(path: "hawser-tests-\(UUID())").path
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        try FileManager.default.copyItem(atPath: Self.folder, toPath: copy + "/repository")

        let store = try await FolderStore.open(copy + "/repository")
        let repository = try await Repository.open(in: store, password: Self.password)
        let check = try await RepositoryCheck(repository, data: .all).run()
        #expect(check.findings.isEmpty && check.snapshots == Self.notes.count)
        let snapshots = try await repository.snapshots()
        try #require(snapshots.count == Self.notes.count)
        for (number, stored) in snapshots.enumerated() {
            let target = copy + "/restored-\(number)"
            let summary = try await repository.restore(RestoreRequest(stored.snapshot, to: target))
            #expect(summary.problemCount == 0)
            for (name, bytes) in Self.notes[number] {
                #expect(FileManager.default.contents(atPath: target + "/notes/" + name) == Data(bytes), "\(name)")
            }
        }
        // What later versions write goes beside it.
        try await repository.forget([snapshots[0].id])
        var options = PruneOptions()
        options.grace = .none
        options.maxUnused = .bytes(0)
        _ = try await Pruner(repository, options: options, now: { .now }).run()
        let pruned = try await Repository.open(in: store, password: Self.password)
        #expect(try await RepositoryCheck(pruned, data: .all).run().findings.isEmpty)
    }
}
