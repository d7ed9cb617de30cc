import Foundation
import HawserTesting
import Testing

@testable import HawserRepository

/// Random lives of repositories: up to four machines at a time back up, are killed, forget, prune, tag and repair, on a
/// storage that fails and loses answers. `HAWSER_SEQUENCES` says how many, `HAWSER_SEED` which is the first; without it
/// they are the same ones each time, so that what fails is the change's.
@Suite("Maintenance, as a model")
struct MaintenanceModelTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let count = environment["HAWSER_SEQUENCES"].flatMap { UInt64($0) } ?? 12
    private static let firstSeed = environment["HAWSER_SEED"].flatMap { UInt64($0) } ?? 20_000

    @Test("What is committed and not forgotten is whole at all times, and what nothing needs goes")
    func sequences() async throws {
        print("\(Self.count) sequences from seed \(Self.firstSeed)")
        var counts = ModelWorld.Counts()
        try await withBoundedTasks(over: Self.firstSeed..<Self.firstSeed + Self.count, width: Parallelism.cores) {
            seed in
            try await withTemporaryFolder { folder in
                let world = try await ModelWorld(seed: seed, folder: folder)
                do {
                    try await world.run()
                } catch {
                    Issue.record("seed \(seed): \(error)\n\(world.log)")
                }
                return world.counts
            }
        } take: {
            counts = counts + $0
        }
        print(counts)
        // The sequences are worth something: what can go wrong did, and packs went.
        #expect(counts.backups > 0 && counts.deleted > 0 && counts.moved > 0 && counts.kills > 0)
    }
}
