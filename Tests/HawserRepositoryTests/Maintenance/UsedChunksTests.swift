import Crypto
import Foundation
import HawserFormat
import HawserTesting
import Testing

@testable import HawserRepository

@Suite("What is needed")
struct UsedChunksTests {
    private static let count = ProcessInfo.processInfo.environment["HAWSER_INDEX_RECORDS"].flatMap { Int($0) }

    /// Ascending in their numbers, and otherwise as hashes are.
    private static func id(_ number: Int, of count: Int) -> ChunkID {
        var generator = SplitMix64(seed: UInt64(number))
        let words = [UInt64(number) * (.max / UInt64(count))] + (0..<3).map { _ in generator.next() }
        return ChunkID(words.flatMap { word in withUnsafeBytes(of: word.bigEndian, Array.init) }[...])!
    }

    /// Of this process, without pages of files: bytes.
    private static func memory() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
    }

    /// `HAWSER_INDEX_RECORDS` says how large the index is that is made for it; with it the memory counts, and nothing else may
    /// run in the process.
    @Test("is a bit for each chunk, however large the index is")
    func bits() async throws {
        let count = Self.count ?? 20_000
        try await withTemporaryFolder { folder in
            let cache = RepositoryCache(
                root: folder,
                repositoryID: [UInt8](repeating: 1, count: 32),
                key: SymmetricKey(size: .bits256)
            )
            let run = try cache.makeRun(named: nil, count: count) { writer in
                for number in 0..<count {
                    writer.append(IndexRunTests.record(Self.id(number, of: count), packNumber: UInt32(number / 60)))
                }
            }
            var state = ChunkIndex.State()
            state.runs = [run]
            let before = try Self.memory()
            var used = try UsedChunks(ChunkIndex(state), cache: cache)
            for number in stride(from: 0, to: count, by: 97) {
                let id = Self.id(number, of: count)
                #expect(try used.mark(id) == .new && used.mark(id) == .known)
            }
            var (chunks, needed) = (0, 0)
            try used.forEachChunk { isUsed, places in
                chunks += places.count
                if isUsed { needed += 1 }
            }
            #expect(chunks == count && needed == (count + 96) / 97)
            guard Self.count != nil else { return }
            let grown = try Self.memory() - before
            print("\(count) records: \(grown >> 10) KiB")
            // The bits, those of two runs' checked pages, and what the allocator keeps.
            #expect(grown < count / 4 + (8 << 20))
        }
    }
}
