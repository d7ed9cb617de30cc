import Foundation
import HawserFormat
import HawserTesting
import Testing

/// Inputs that fuzzing found and that once crashed a decoder: `Tests/Fixtures/crashes/<decoder>/`.
@Suite("Former crashes")
struct CrashTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/crashes")

    @Test("Each is accepted or refused with an error", arguments: FuzzedDecoder.all.map(\.name))
    func formerCrashes(name: String) throws {
        let decoder = try #require(FuzzedDecoder.all.first { $0.name == name })
        let folder = Self.folder.appending(path: name)
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        // Beside them, what every decoder must stand: nothing, and the first bytes of anything.
        let inputs =
            try files.map { [UInt8](try Data(contentsOf: $0)) } + [
                [], [0], [0xff], [UInt8](repeating: 0xff, count: 64),
            ]
        for input in inputs {
            do {
                try decoder.decode(input)
            } catch is HawserError {
                continue
            }
        }
    }

    @Test("Its seeds are valid", arguments: FuzzedDecoder.all.map(\.name))
    func seeds(name: String) throws {
        let decoder = try #require(FuzzedDecoder.all.first { $0.name == name })
        let seeds = try decoder.seeds()
        #expect(!seeds.isEmpty)
        for seed in seeds { try decoder.decode(seed) }
    }

    @Test("Every folder of crashes belongs to a decoder")
    func foldersHaveDecoders() throws {
        let folders = (try? FileManager.default.contentsOfDirectory(atPath: Self.folder.path)) ?? []
        let names = Set(FuzzedDecoder.all.map(\.name)).union(["README.md"])
        #expect(Set(folders).subtracting(names).isEmpty)
        #expect(names.count == FuzzedDecoder.all.count + 1, "names are unique")
    }
}
