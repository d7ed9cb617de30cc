import Foundation
import HawserFormat
import Testing

/// Any object truncated, emptied, changed, swapped, removed, or something else in its place: check names it, restore gives
/// back all that is not hurt, names the rest, and never writes a wrong byte.
@Suite("Damage")
struct DamageTests {
    enum Damage: String, CaseIterable, Sendable {
        case truncated, emptied, oneBitChanged, swapped, removed, folder, link

        /// What is no file is no object.
        var leavesNothing: Bool { [.removed, .folder, .link].contains(self) }
    }

    @Test(
        "Damaged objects are found and hurt only what they hold",
        arguments: [
            "config/", "keys/", "packs/d/", "packs/m/", "index/d/", "index/m/", "snapshots/", "refs/",
        ]
    )
    func damagedObject(kind: String) async throws {
        var generator = SeededGenerator(seed: TestScale.seed)
        print("seed \(TestScale.seed)")
        let fixture = try await Fixture(generator: &generator)
        let cases = Damage.allCases.flatMap { damage in fixture.keys(of: kind).map { (damage, $0) } }
        #expect(!cases.isEmpty, "no objects of \(kind)")
        let some = [Damage.folder, .link].map { ($0, cases[0].1) } + cases.shuffled(using: &generator).prefix(2)
        for (damage, key) in TestScale.isFull ? cases : some {
            try await fixture.examine(damage, of: key, kind: kind, generator: &generator)
        }
    }

    @Test("The index is made again from packs alone", arguments: ["index/d/", "index/m/"])
    func repairIndex(kind: String) async throws {
        var generator = SeededGenerator(seed: TestScale.seed)
        let fixture = try await Fixture(generator: &generator)
        for key in fixture.keys(of: kind) {
            try FileManager.default.removeItem(atPath: fixture.bench.repository + "/" + key)
        }
        try await fixture.bench.hawser("repair", "index").expect(0)
        try await fixture.bench.hawser("check", "--read-data").expect(0)
        for (snapshot, manifest) in fixture.snapshots {
            try await fixture.bench.restore(snapshot, to: "repaired-" + snapshot).expect(0)
            try await TreeComparison.expectEqual(manifest, fixture.bench.restored("repaired-" + snapshot))
        }
    }

    @Test("A damaged pack: the rest is saved, and a backup stores again what the source still has")
    func repairPacks() async throws {
        let fixture = try await Fixture.withDamagedPack()
        let bench = fixture.bench
        let check = try await bench.hawser("check", "--read-data")
        check.expect(1)
        #expect(check.allText.contains("hawser repair packs"), "\(check)")
        let repair = try await bench.hawser("repair", "packs", "--json")
        repair.expect(1)
        let summary = try #require(repair.message("summary"), "\(repair)")
        #expect(summary["packs_damaged"] as? Int == 1 && summary["chunks_lost"] as? Int == 1, "\(repair)")
        try await bench.hawser("check").expect(1)

        try await bench.backup()
        // The refs of earlier snapshots don't name the pack yet that has the chunk now, and the damaged one is still there.
        let snapshots = try await bench.hawser("repair", "snapshots", "--json")
        snapshots.expect(0)
        #expect(snapshots.message("summary")?["snapshots_damaged"] as? Int == 0, "\(snapshots)")
        #expect(try #require(snapshots.message("summary")?["refs_repaired"] as? Int) > 0, "\(snapshots)")
        let waiting = try await bench.hawser("check", "--read-data")
        waiting.expect(0)
        #expect(waiting.allText.contains("waits for its deletion"), "\(waiting)")
        try await bench.hawser("prune", "--no-grace").expect(0)
        let clean = try await bench.hawser("check", "--read-data")
        clean.expect(0)
        #expect(!clean.allText.contains("waits for its deletion"), "\(clean)")
        for (snapshot, manifest) in fixture.snapshots {
            try await bench.restore(snapshot, to: "healed-" + snapshot).expect(0)
            try await TreeComparison.expectEqual(manifest, bench.restored("healed-" + snapshot))
        }
        try await bench.hawser("repair", "packs").expect(0)
    }

    @Test("What is lost for good: snapshots without it are made, and the repository is sound without the old ones")
    func repairSnapshots() async throws {
        let fixture = try await Fixture.withDamagedPack()
        let bench = fixture.bench
        try await bench.hawser("repair", "packs").expect(1)
        let dry = try await bench.hawser("repair", "snapshots", "--dry-run", "--json")
        dry.expect(0)
        #expect(dry.message("repaired")?["new_snapshot_id"] == nil, "\(dry)")
        let repair = try await bench.hawser("repair", "snapshots", "--json")
        repair.expect(0)
        let repaired = repair.objects.filter { $0["message_type"] as? String == "repaired" }
        let lost = repaired.flatMap { ($0["damaged_files"] as? [String] ?? []) + ($0["missing"] as? [String] ?? []) }
        #expect(!repaired.isEmpty && !lost.isEmpty, "\(repair)")
        let old = repaired.compactMap { $0["snapshot_id"] as? String }
        try await bench.start(["forget"] + old).result().expect(0)
        try await bench.hawser("prune", "--no-grace").expect(0)
        try await bench.hawser("check", "--read-data").expect(0)
        for id in repaired.compactMap({ $0["new_snapshot_id"] as? String }) {
            try await bench.restore(id, to: "left-" + id).expect(0)
            let differences = try await TreeComparison.differences(bench.source, bench.restored("left-" + id))
            let names = Set(lost.map { URL(filePath: $0).lastPathComponent })
            // Of the earlier snapshot the second folder is missing as well, and folders have another time.
            for difference in differences where difference.contains(": content is ") {
                #expect(names.contains { difference.contains($0) }, "\(difference)\n\(repair)")
            }
        }
    }
}

/// A repository with two snapshots, the manifests of what they hold, and a copy of it as it was.
private struct Fixture {
    let bench: Workbench
    private(set) var snapshots: [(snapshot: String, manifest: String)] = []
    private let objects: [String]
    private var pristine: String { bench.directory.path + "/pristine" }

    init(generator: inout SeededGenerator) async throws {
        let bench = try await Workbench.withRepository()
        var snapshots: [(String, String)] = []
        for round in 1...2 {
            let folder = bench.source + "/round-\(round)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for index in 0..<30 {
                let bytes = generator.bytes(index * 20_000)
                try Data(bytes).write(to: URL(filePath: folder + "/file-\(index)"))
            }
            let manifest = bench.directory.path + "/manifest-\(round)"
            try await TreeComparison.writeManifest(of: bench.source, to: manifest)
            snapshots.append((try await bench.backup().snapshot, manifest))
        }
        try FileManager.default.copyItem(
            atPath: bench.repository,
            toPath: bench.directory.path + "/pristine"
        )
        self.bench = bench
        self.snapshots = snapshots
        objects = try bench.objects("")
    }

    func keys(of kind: String) -> [String] { objects.filter { $0.hasPrefix(kind) } }

    /// With a bit of a chunk changed in a data pack, and a cache that knows nothing.
    static func withDamagedPack() async throws -> Fixture {
        var generator = SeededGenerator(seed: TestScale.seed)
        print("seed \(TestScale.seed)")
        let fixture = try await Fixture(generator: &generator)
        let key = try #require(fixture.keys(of: "packs/d/").first)
        let file = URL(filePath: fixture.bench.repository + "/" + key)
        var bytes = [UInt8](try Data(contentsOf: file))
        // Between the header and the footer, which is at the end.
        bytes[Int.random(in: 1_000..<bytes.count / 2, using: &generator)] ^= 1
        try fixture.replace(file, with: Data(bytes))
        try FileManager.default.removeItem(atPath: fixture.bench.cache)
        return fixture
    }

    func examine(
        _ damage: DamageTests.Damage,
        of key: String,
        kind: String,
        generator: inout SeededGenerator
    ) async throws {
        let what: Comment = "\(damage) \(key)"
        try FileManager.default.removeItem(atPath: bench.repository)
        try FileManager.default.copyItem(atPath: pristine, toPath: bench.repository)
        // What the cache remembers must not hide the damage.
        try? FileManager.default.removeItem(atPath: bench.cache)
        guard try apply(damage, to: key, kind: kind, generator: &generator) else { return }

        let check = try await bench.hawser("check", "--read-data")
        switch (kind, damage.leavesNothing) {
        case ("config/", true): #expect(check.status == 1, what)
        case ("keys/", true): #expect([1, 10, 12].contains(check.status), "\(what)\n\(check)")
        // A snapshot that is gone can't be told from one that was forgotten: it is named, and no error.
        case ("snapshots/", true):
            check.expect(0)
            let id = key.split(separator: "/").last ?? ""
            #expect(check.allText.contains("not there: 1 snapshot (\(id.prefix(8)))"), "\(what)\n\(check)")
        default:
            #expect(check.status == 1, "\(what)\n\(check)")
            // `keys/` and the like are named by their hash, `config/` by its number. Of what is gone nobody knows the
            // hash, only where it is missing.
            let isGone = damage.leavesNothing && (kind.hasPrefix("index/") || kind == "refs/")
            let name = isGone ? kind.prefix { $0 != "/" } : key.split(separator: "/").last ?? ""
            #expect(check.allText.contains(name), "\(what)\n\(check)")
        }

        for (snapshot, manifest) in snapshots {
            let target = "restored-\(generator.next())"
            let restore = try await bench.restore(snapshot, to: target)
            #expect(restore.status != nil, "\(what): must not crash\n\(restore)")
            var differences =
                try await FileManager.default.fileExists(atPath: bench.restored(target))
                ? TreeComparison.differences(manifest, bench.restored(target)) : []
            if restore.status == 0 {
                #expect(differences.isEmpty, "\(what): exit code 0 with differences\n\(differences)")
                continue
            }
            // The last line counts; folders of which a file is missing have another time.
            differences.removeAll { !$0.hasPrefix("only in the first:") && !$0.contains(": content is ") }
            for difference in differences {
                #expect(!difference.contains(": content is "), "\(what): wrong bytes\n\(difference)")
                let path = difference.dropFirst("only in the first:".count).drop { $0 == " " }
                let name = path.split(separator: "/").last.map(String.init) ?? difference
                let isNamed =
                    try restore.allText.contains(name) || isInMissingPage(bench.source + "/" + path, of: restore)
                #expect(isNamed, "\(what): \(difference) is not named\n\(restore)")
            }
        }
    }

    /// With a page of a tree the names in it are lost: what is named is where they begin and end.
    private func isInMissingPage(_ path: String, of restore: CommandResult) throws -> Bool {
        let path = try #require(EntryPath(path.utf8))
        return try restore.allText.split(separator: "\n").contains { line in
            guard
                let match = line.firstMatch(
                    of: /not restored: (.*): A page .* from here to (?:the end|the one before (.*)) are missing/
                )
            else { return false }
            let first = try #require(EntryPath(match.1.utf8))
            let end = try match.2.map { try #require(EntryPath($0.utf8)) }
            return first <= path && end.map { path < $0 } ?? true
        }
    }

    /// `false` when there is nothing to swap with.
    private func apply(
        _ damage: DamageTests.Damage,
        to key: String,
        kind: String,
        generator: inout SeededGenerator
    ) throws -> Bool {
        let file = URL(filePath: bench.repository + "/" + key)
        var bytes = [UInt8](try Data(contentsOf: file))
        switch damage {
        case .truncated: bytes.removeLast(Int.random(in: 1...bytes.count - 1, using: &generator))
        case .emptied: bytes.removeAll()
        case .oneBitChanged:
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case .swapped:
            guard let other = keys(of: kind).filter({ $0 != key }).randomElement(using: &generator) else {
                return false
            }
            let otherFile = URL(filePath: bench.repository + "/" + other)
            let otherBytes = try Data(contentsOf: otherFile)
            try replace(otherFile, with: Data(bytes))
            bytes = [UInt8](otherBytes)
        case .removed:
            try FileManager.default.removeItem(at: file)
            return true
        case .folder:
            try FileManager.default.removeItem(at: file)
            try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
            return true
        case .link:
            // To the right bytes, which count for nothing: others may be able to change them.
            try FileManager.default.removeItem(at: file)
            try FileManager.default.createSymbolicLink(atPath: file.path, withDestinationPath: pristine + "/" + key)
            return true
        }
        try replace(file, with: Data(bytes))
        return true
    }

    /// Objects are read-only files.
    private func replace(_ file: URL, with data: Data) throws {
        try FileManager.default.removeItem(at: file)
        try data.write(to: file)
    }
}
