import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Statistics and differences")
struct StatsAndDiffTests {
    private let old = [
        TestFile("a/same", count: 300_000, seed: 1), TestFile("a/gone", count: 10_000, seed: 2),
        TestFile("b/changed", count: 20_000, seed: 3),
    ]
    private let new = [
        TestFile("a/same", count: 300_000, seed: 1), TestFile("b/changed", count: 20_000, seed: 4),
        TestFile("b/new", count: 30_000, seed: 5),
    ]

    @Test("A difference says what came, went and changed")
    func differs() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(old), fixture.backUp(new)]
            let repository = try await fixture.open()
            let roots = try await [repository.snapshot(ids[0]).root, repository.snapshot(ids[1]).root]
            var changes: [String] = []
            for try await change in repository.diff(roots[0], roots[1]) {
                switch change {
                case .added(let entry): changes.append("+" + entry.path.description)
                case .removed(let entry): changes.append("-" + entry.path.description)
                case .changed(_, let entry): changes.append("M" + entry.path.description)
                }
            }
            #expect(changes == ["-/a/gone", "M/b/changed", "+/b/new"])
            for try await change in repository.diff(roots[0], roots[0]) { Issue.record("\(change)") }
        }
    }

    @Test("One path is found, and a directory lists what lies in it")
    func looksUp() async throws {
        try await TestRepository.with { fixture in
            let many = (0..<2_000).map { TestFile("dir-\($0 % 7)/file-\($0)", [UInt8(truncatingIfNeeded: $0)]) }
            let id = try await fixture.backUp(many)
            let repository = try await fixture.open()
            let root = try await repository.snapshot(id).root
            #expect(root.height > 0)
            for file in many.prefix(20) {
                let path = try #require(EntryPath(Array(file.path.utf8)))
                #expect(try await repository.entry(at: path, of: root)?.path == path)
            }
            for absent in ["dir-1", "dir-1/file-2"] {
                let path = try #require(EntryPath(Array(absent.utf8)))
                #expect(try await repository.entry(at: path, of: root) == nil)
            }
            let directory = try #require(EntryPath(Array("dir-3".utf8)))
            let count = try await repository.children(of: directory, of: root).reduce(0) { count, _ in count + 1 }
            #expect(count == many.count { $0.path.hasPrefix("dir-3/") })
        }
    }

    @Test("Sizes count files once a snapshot and chunks once for all")
    func sizes() async throws {
        try await TestRepository.with { fixture in
            let ids = try await [fixture.backUp(old), fixture.backUp(new)]
            let repository = try await fixture.open()
            let snapshots = try await [repository.snapshot(ids[0]), repository.snapshot(ids[1])]
            let restored = try await repository.restoreSize(of: snapshots)
            #expect(restored == RestoreSize(snapshots: 2, files: 6, entries: 6, bytes: 330_000 + 350_000))
            let raw = try await repository.rawDataSize(of: snapshots)
            // Of the large file two chunks, of each other one, and one page a snapshot.
            #expect(raw.chunks == 2 + 4 + 2)
            #expect(raw.unreadable == 0)
            #expect(raw.plainBytes > 300_000 + 10_000 + 20_000 + 20_000 + 30_000)
            #expect(raw.compressionRatio > 0.9)
            let objects = try await repository.storedObjects()
            #expect(objects[.snapshot]?.count == 2)
            let sum = objects.values.reduce(UInt64(0)) { $0 + $1.bytes }
            #expect(sum == UInt64(fixture.memory.totalLength))
        }
    }
}
