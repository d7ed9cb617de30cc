import Foundation
import HawserFormat
import HawserStorage
import HawserTestServer
import HawserTransfer
import Testing

@testable import HawserRepository

/// Everything that a provider could look at: what lies in the storage and how it was asked for, which is what the gateway
/// server has in its hands, what passes the relay, the memory of his servers, the configuration database, their folders,
/// and what they say.
@Suite("What a provider sees")
struct ZeroKnowledgeTests {
    /// Something that nobody but the tenant may find.
    private struct Hidden {
        var name: String
        var bytes: Data

        init(_ name: String, _ bytes: Data) {
            (self.name, self.bytes) = (name, bytes)
        }

        init(_ text: String) { self.init(text, Data(text.utf8)) }

        /// Also as text can have it.
        var forms: [Data] {
            let hex = bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
            return [bytes, Data(hex.utf8), Data(hex.uppercased().utf8)] + base64
        }

        // Wherever in a longer text it stands.
        private var base64: [Data] {
            (0..<3).map { shift in
                let text = Array((Data(repeating: 0, count: shift) + bytes).base64EncodedString().utf8)
                return Data(text.dropFirst(shift == 0 ? 0 : shift + 1).dropLast(4))
            }
        }

        // Shorter ones are found by chance.
        func isFound(in place: Data) -> Bool { forms.contains { $0.count >= 8 && place.range(of: $0) != nil } }
    }

    /// What the tenant alone knows of its repository.
    private struct Inside {
        var keys: [Hidden] = []
        /// From the middle of compressed chunks.
        var compressed: [Hidden] = []
        /// Bytes: of chunks, plain and stored, and of files. Shorter ones can be ports and numbers of processes.
        var lengths: Set<Int> = [] {
            didSet { lengths = lengths.filter { $0 >= 100_000 } }
        }
    }

    private func inside(_ scene: ProviderScene) async throws -> Inside {
        let store = MemoryStore()
        for path in try #require(scene.storage.keys(in: "hawser")) {
            let key = path.split(separator: "/", maxSplits: 2).last.flatMap { ObjectKey($0) }
            let bytes = try #require(try await scene.storage.object(path, in: "hawser"))
            _ = try await store.put(try #require(key), bytes, sha256: ObjectName(hashOf: bytes))
        }
        let target = TargetDataMover(store: store)
        let password = Secret(Array(try #require(scene.tenant.environment["HAWSER_PASSWORD"]).utf8))
        let keys = try await RepositoryKeys.open(at: target, password: password)
        let secrets = keys.config.secrets
        var inside = Inside()
        inside.keys = ([keys.ring.configKey, secrets.chunker, secrets.id, secrets.tree] + keys.ring.epochs.values)
            .enumerated().map { Hidden("key \($0)", Data($1.bytes)) }
        let repository = try await Repository.open(at: target, password: password, cacheRoot: nil)
        let reader = BlobReader(repository)
        let compressor = Compressor(method: .auto)
        for snapshot in try await repository.snapshots() {
            for try await entry in repository.entries(of: snapshot.snapshot.root) {
                try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
                    guard case .data(let id, let length) = extent, let record = repository.index.find(id) else {
                        return
                    }
                    inside.lengths.formUnion([length, Int(record.blob.storedLength)])
                    var packed: [UInt8] = []
                    try await reader.read(id, type: .data).withUnsafeBytes { compressor.compress($0, into: &packed) }
                    guard packed.count < length else { return }
                    let middle = packed.count / 2
                    inside.compressed.append(
                        Hidden("compressed, \(length) bytes", Data(packed[middle..<min(middle + 24, packed.count)]))
                    )
                }
            }
        }
        return inside
    }

    /// Places in the memory of the provider's servers, while they run.
    private func memory(_ hidden: [Hidden], _ scene: ProviderScene) async throws -> [String] {
        var found: [String] = []
        for role in [ProviderScene.Role.server, .relay, .mover] {
            let process = try #require(scene.processIdentifier(role))
            let places = try #require(await MemorySearch.places(of: hidden.map(\.bytes), in: process))
            found += places.map { "\(role): \($0)" }
        }
        return found
    }

    /// Has the relay send everything through taps: they see what it sees.
    private func withTaps(
        _ scene: ProviderScene,
        _ body: (_ control: Tap, _ data: Tap) async throws -> Void
    ) async throws {
        let control = try await Tap(to: scene.system.serverPort)
        let data = try await Tap(to: scene.system.gatewayServerPort)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tap in [control, data] { group.addTask { try await tap.run() } }
            defer { group.cancelAll() }
            try await scene.end(.relay, SIGTERM)
            try scene.system.route(control: control.port, gatewayServer: data.port)
            try await scene.start(.relay)
            try await body(control, data)
        }
    }

    /// Ends the provider's processes.
    private func places(_ scene: ProviderScene) async throws -> [(String, Data)] {
        var places: [(String, Data)] = []
        for key in try #require(scene.storage.keys(in: "hawser")) {
            places.append(("object \(key)", Data(try #require(try await scene.storage.object(key, in: "hawser")))))
        }
        let requests = scene.storage.requests.map { request in
            request.target + "\n" + request.headers.map { "\($0.key): \($0.value)" }.joined(separator: "\n")
        }
        places.append(("the requests", Data(requests.joined(separator: "\n").utf8)))
        for (index, result) in try await scene.endAll().enumerated() {
            places.append(("what process \(index) said", result.output + result.errors))
        }
        let folder = scene.system.directory.path
        for name in try #require(FileManager.default.enumerator(atPath: folder)?.allObjects as? [String]) {
            // Sockets and folders can't be read.
            guard let bytes = try? Data(contentsOf: URL(filePath: folder + "/" + name)) else { continue }
            places.append((name, Data(name.utf8) + bytes))
        }
        return places
    }

    @Test("of backups, a restore and a prune in gateway mode: no content, name, length, password, key or host")
    func nothing() async throws {
        try await ProviderScene.run(ProviderScene.gatewayMode, hasGatewayServer: true) { scene in
            try await withTaps(scene) { try await sees(nothingOf: scene, $0, $1) }
        }
    }

    private func sees(nothingOf scene: ProviderScene, _ control: Tap, _ data: Tap) async throws {
        let tenant = scene.tenant
        var generator = SystemRandomNumberGenerator()
        let random = Data((0..<1_234_577).map { _ in UInt8.random(in: 0...255, using: &generator) })
        let text = (0..<20_000).map { "line \($0) of the secret-novel-of-the-tenant" }.joined(separator: "\n")
        try FileManager.default.createDirectory(
            atPath: tenant.source + "/secret-directory-name",
            withIntermediateDirectories: true
        )
        try random.write(to: URL(filePath: tenant.source + "/secret-file-name.bin"))
        try Data(text.utf8).write(to: URL(filePath: tenant.source + "/secret-directory-name/novel.txt"))
        let options = ["--host", "secret-host-name", "--tag", "secret-tag-name"]
        try await tenant.hawser("init").expect(0)
        let first = try await tenant.backup(options[0], options[1], options[2], options[3])
        try Data("more".utf8).write(to: URL(filePath: tenant.source + "/secret-second-name"))
        try await tenant.backup(options[0], options[1], options[2], options[3])
        try await tenant.restore("latest", to: "target").expect(0)
        try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
        try await tenant.hawser("forget", first.snapshot, "--prune").expect(0)

        var inside = try await inside(scene)
        inside.lengths.formUnion([random.count, text.utf8.count])
        var secrets =
            inside.keys + [
                Hidden("secret-novel-of-the-tenant"), Hidden("secret-directory-name"), Hidden("secret-file-name.bin"),
                Hidden("secret-second-name"), Hidden("novel.txt"), Hidden("secret-host-name"),
                Hidden("secret-tag-name"),
                Hidden(tenant.source), Hidden(try #require(tenant.environment["HAWSER_PASSWORD"])),
            ]
        for start in stride(from: 0, to: random.count - 24, by: 200_000) {
            secrets.append(Hidden("the content at \(start)", random[start..<start + 24]))
        }
        secrets += inside.compressed
        if MemorySearch.isPossible {
            #expect(try await memory(Array(secrets.prefix(24)), scene) == [])
        }
        let relayed = [("the relay, control", control.recorded), ("the relay, data", data.recorded)]
        let places = try await places(scene) + relayed
        for (name, bytes) in places {
            for secret in secrets where secret.isFound(in: bytes) {
                Issue.record("«\(secret.name)» is in \(name)")
            }
        }
        let numbers = places.filter { !$0.0.hasPrefix("object") && !$0.0.hasPrefix("the relay") }
            .map { (name: $0.0, numbers: Self.numbers(in: $0.1)) }
        for (name, numbers) in numbers {
            let known = inside.lengths.intersection(numbers)
            #expect(known.isEmpty, "\(name) has lengths of chunks or files: \(known)")
        }
        // The search finds what is there: all of it in the tenant's own folder and words, …
        let own = ([text, tenant.source] + options + [tenant.environment["HAWSER_PASSWORD"] ?? ""]).joined()
        let names = try FileManager.default.subpathsOfDirectory(atPath: tenant.source).joined(separator: "\n")
        let plain = Data(own.utf8) + random + Data(names.utf8)
        for secret in secrets.dropFirst(inside.keys.count).dropLast(inside.compressed.count) {
            #expect(secret.isFound(in: plain), "\(secret.name)")
        }
        #expect(
            Hidden("secret-tag-name").isFound(in: Data(Data("a secret-tag-name b".utf8).base64EncodedString().utf8))
        )
        #expect(inside.keys.count == 5 && !inside.compressed.isEmpty && inside.lengths.count >= 3)
        #expect(Self.numbers(in: Data("\"a\":1234577,a888889f 1.1234567".utf8)) == [1_234_577])
        // … the whole backup went by the taps, and each object's length is told, …
        #expect(data.recorded.count > random.count)
        #expect(numbers.contains { $0.name == "the requests" && $0.numbers.contains { $0 >= 64 << 10 } })
        // … and the tenant's name, which the provider knows, with him.
        #expect(places.contains { $0.1.range(of: Data("acme".utf8)) != nil })
        #expect(
            places.contains { $0.0.hasPrefix("object") } && places.contains { $0.0.hasSuffix("provider.sqlite") }
        )

        // Lengths are those of padded packs: they tell the whole, rounded, and of no chunk or file anything.
        let packs = places.filter { $0.0.contains("/packs/") }
        #expect(!packs.isEmpty)
        for (name, bytes) in packs {
            #expect(bytes.count == Self.padded(bytes.count) && bytes.count >= 64 << 10, "\(name): \(bytes.count)")
        }
        // Parts of data packs are asked for on a grid, or to the end.
        let ranges = scene.storage.requests.filter { $0.key?.contains("/packs/d/") == true }
            .compactMap { $0.headers["range"] }
        #expect(!ranges.isEmpty)
        for range in ranges {
            let ends = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
            try #require(ends.count == 2, "\(range)")
            let isWhole = packs.contains { $0.1.count == ends[1] + 1 }
            #expect(
                ends[0] % Repository.readGrid == 0 && (isWhole || (ends[1] + 1) % Repository.readGrid == 0),
                "\(range)"
            )
        }
    }

    /// Whole decimal ones of five digits and more: no parts of hexadecimal, and no fractions.
    private static func numbers(in place: Data) -> Set<Int> {
        let words = place.split { byte in
            let character = Character(UnicodeScalar(byte))
            return !character.isASCII || !character.isLetter && !character.isNumber && character != "."
        }
        return Set(words.filter { (5...9).contains($0.count) }.compactMap { Int(String(decoding: $0, as: UTF8.self)) })
    }

    /// docs/format.md, Packs.
    private static func padded(_ length: Int) -> Int {
        if length >= 4 << 20 { return (length + 65_535) / 65_536 * 65_536 }
        let exponent = Int.bitWidth - 1 - length.leadingZeroBitCount
        let bits = Int.bitWidth - exponent.leadingZeroBitCount
        let step = 1 << (exponent - bits)
        return (length + step - 1) / step * step
    }
}
