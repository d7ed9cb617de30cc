import Foundation
import Testing

@testable import EndToEndTests

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `kill -9` of backups and prunes, at the server and in a folder: nothing that was committed is hurt.
@Suite("Kills", .needsServer, .serialized)
struct KillTests {
    private enum Place: String, CaseIterable, Sendable {
        case server, folder
    }

    @Test(
        "Backups of two machines, forgets and prunes killed at random leave every snapshot whole",
        arguments: Place.allCases
    )
    private func kills(_ place: Place) async throws {
        print("seed \(TestScale.seed), \(TestScale.kills) rounds")
        var generator = SeededGenerator(seed: TestScale.seed)
        let bench = try place == .folder ? Workbench() : #require(TestedServer.current).bench()
        try await bench.hawser("init").expect(0)
        try bench.write(files: 20, of: 60_000, named: "base")
        var lives = try await Lives(bench)
        for round in 1...max(1, TestScale.kills) {
            try bench.write(files: 12, of: 150_000, named: "round-\(round)")
            try? FileManager.default.removeItem(atPath: bench.source + "/round-\(round - 2)")
            // Now and then in peace: both take longer the more there is.
            let spares = round % 4 == 0
            try await lives.backUpTwice(round, spares, &generator)
            try await lives.forgetOldest()
            try await lives.prune(spares, &generator)
            let check = try await bench.hawser("check", "--read-data")
            #expect(check.status == 0, "round \(round)\n\(check)")
        }
        try await lives.expectWhole()
        if TestScale.kills >= 20 {
            #expect(lives.killed["backup", default: 0] > 0 && lives.killed["prune", default: 0] > 0)
        }
        try await bench.start(Lives.pruning).result().expect(0)
        try await bench.start(Lives.pruning).result().expect(0)
        try await bench.hawser("check", "--read-data").expect(0)
        try await lives.expectWhole()
    }
}

/// A repository, and what its snapshots hold.
private struct Lives {
    static let pruning = ["prune", "--no-grace", "--max-unused", "0"]

    private let bench: Workbench
    /// How many commands of a kind were killed.
    private(set) var killed: [String: Int] = [:]
    /// Of a whole command.
    private var durations: [String: Duration] = [:]
    /// By tag.
    private var manifests: [String: String] = [:]

    /// Backs up and prunes once in peace.
    init(_ bench: Workbench) async throws {
        self.bench = bench
        try await note("round-0")
        durations["backup"] = try await ContinuousClock().measure { try await bench.backup("--tag", "round-0") }
        durations["prune"] = try await ContinuousClock().measure {
            try await bench.start(Self.pruning).result().expect(0)
        }
    }

    private mutating func note(_ tag: String) async throws {
        let manifest = bench.directory.path + "/manifest-" + tag
        try await TreeComparison.writeManifest(of: bench.source, to: manifest)
        manifests[tag] = manifest
    }

    /// - Parameter spares: nothing is killed, and it is measured how long they take.
    private mutating func kill(
        _ commands: [RunningCommand],
        _ kind: String,
        _ spares: Bool,
        _ generator: inout SeededGenerator
    ) async throws {
        if spares {
            durations[kind] = try await ContinuousClock().measure {
                for command in commands { try await command.result().expect(0) }
            }
            return
        }
        let delay = (durations[kind] ?? .zero) * Double.random(in: 0..<1.3, using: &generator)
        try await Task.sleep(for: delay)
        for command in commands { command.send(SIGKILL) }
        for command in commands {
            let result = try await command.result()
            if result.end == .signal(SIGKILL) { killed[kind, default: 0] += 1 }
            #expect(result.end == .signal(SIGKILL) || result.status == 0, "after \(delay): \(result)")
        }
    }

    /// From two machines at one time, each with its own cache.
    mutating func backUpTwice(_ round: Int, _ spares: Bool, _ generator: inout SeededGenerator) async throws {
        try await note("round-\(round)")
        let commands = try ["one", "two"].map { host in
            try bench.start(
                ["backup", bench.source, "--host", host, "--tag", "round-\(round)"],
                changing: ["HAWSER_CACHE_DIR": bench.directory.path + "/cache-" + host]
            )
        }
        try await kill(commands, "backup", spares, &generator)
    }

    /// While there are more than four, so that packs are emptied.
    func forgetOldest() async throws {
        let snapshots = try await bench.snapshots()
        guard snapshots.count > 4, let id = snapshots.first?["id"] as? String else { return }
        try await bench.hawser("forget", id).expect(0)
    }

    mutating func prune(_ spares: Bool, _ generator: inout SeededGenerator) async throws {
        try await kill([try bench.start(Self.pruning)], "prune", spares, &generator)
    }

    func expectWhole() async throws {
        for snapshot in try await bench.snapshots() {
            let id = try #require(snapshot["id"] as? String)
            let tag = try #require((snapshot["tags"] as? [String])?.first)
            let target = "restored-\(id.prefix(8))"
            try await bench.restore(id, to: target).expect(0)
            let differences = try await TreeComparison.differences(
                #require(manifests[tag]),
                bench.restored(target)
            )
            #expect(differences.isEmpty, "snapshot \(tag)\n\(differences)")
            try FileManager.default.removeItem(atPath: bench.directory.path + "/" + target)
        }
    }
}
