import Foundation
import HawserFormat
import HawserMovers
import HawserRepository
import HawserStorage
import Testing

/// Everything at the smallest memory setting. `backUp` proves that buffers come back and stay in bounds.
@Suite("Budgets")
struct BudgetTests {
    /// Whether to take as much as the design names instead of what a run of all tests has time for.
    private static let isFull = ProcessInfo.processInfo.environment["HAWSER_TEST_SCALE"] == "full"

    private func backUp(_ content: [Stretch], _ check: (BackupSummary) -> Void = { _ in }) async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource([GeneratedNode("/data", .file, content)])
            let summary = try await fixture.backUp(source)
            #expect(summary.bytesProcessed == content.length && summary.problems.isEmpty)
            check(summary)
        }
    }

    @Test("A stream that compresses a thousand times")
    func dull() async throws {
        try await backUp([.dull(seed: 1, length: Self.isFull ? 1 << 40 : 96 << 20)])
    }

    @Test("A stream that does not compress")
    func dense() async throws {
        try await backUp([.noise(seed: 1, length: Self.isFull ? 16 << 30 : 64 << 20)])
    }

    @Test("Terabytes of holes with some data between them")
    func sparse() async throws {
        let content = (0..<200).flatMap { [Stretch.hole(length: 5 << 30), .noise(seed: UInt64($0), length: 4096)] }
        try await backUp(content) { #expect($0.bytesRead == 200 * 4096) }
    }

    @Test("Nothing but zeros")
    func zeros() async throws {
        try await backUp([.zeros(length: Self.isFull ? 1 << 40 : 64 << 20)]) { #expect($0.dataAdded < 64 << 10) }
    }

    @Test("Files between 300 KiB and 2 MiB")
    func midSize() async throws {
        try await PipelineFixture.with { fixture in
            let source = GeneratedSource(
                (0..<(Self.isFull ? 20_000 : 60)).map {
                    GeneratedNode(
                        "/data/\($0)",
                        .file,
                        [.noise(seed: UInt64($0), length: 300_000 + UInt64($0 * 7919 % 1_797_000))]
                    )
                }
            )
            let summary = try await fixture.backUp(source) { $0.checkpointInterval = .milliseconds(100) }
            #expect(summary.filesProcessed == summary.files.total)
        }
    }

    @Test("Empty files in one directory")
    func emptyFiles() async throws {
        try await PipelineFixture.with { fixture in
            let count = Self.isFull ? 1_000_000 : 100_000
            let summary = try await fixture.backUp(ManyFiles(count: count))
            #expect(summary.files.new == UInt64(count))
            let again = try await fixture.backUp(ManyFiles(count: count))
            #expect(again.files.unmodified == UInt64(count))
            let repository = try await fixture.openElsewhere()
            let first = try await repository.snapshot(#require(summary.snapshotID))
            let second = try await repository.snapshot(#require(again.snapshotID))
            #expect(first.tree == second.tree)
        }
    }
}

/// Empty files that are made while the walk goes on.
private struct ManyFiles: BackupSource {
    let count: Int
    var paths: [[UInt8]] { [Array("/data".utf8)] }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        for path in ["/", "/data"] { try await visit(.entry(GeneratedNode(path, .directory).entry)) }
        for number in 0..<count {
            try await visit(.entry(GeneratedNode("/data/\(1_000_000 + number)").entry))
        }
    }

    func open(_ entry: Entry) async throws -> any SourceFile { Nothing(entry: entry) }

    private final class Nothing: SourceFile {
        let entry: Entry

        init(entry: Entry) {
            self.entry = entry
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int { 0 }
        func status() async throws -> Entry { entry }
        func close() {}
    }
}
