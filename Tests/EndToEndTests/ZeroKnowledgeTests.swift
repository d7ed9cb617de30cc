import Foundation
import HawserTestServer
import Testing

/// Everything that a provider could look at: what lies in the storage and how it was asked for, which is what the gateway
/// server has in its hands, the configuration database, the folders of his servers, and what they say.
@Suite("What a provider sees")
struct ZeroKnowledgeTests {
    /// Something that nobody but the tenant may find.
    private struct Secret {
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

        func isFound(in place: Data) -> Bool { forms.contains { !$0.isEmpty && place.range(of: $0) != nil } }
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

    @Test("of backups, a restore and a prune in gateway mode: no content, name, length, password or host")
    func nothing() async throws {
        try await ProviderScene.run(ProviderScene.gatewayMode, hasGatewayServer: true) { scene in
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

            var secrets = [
                Secret("secret-novel-of-the-tenant"), Secret("secret-directory-name"), Secret("secret-file-name.bin"),
                Secret("secret-second-name"), Secret("novel.txt"), Secret("secret-host-name"),
                Secret("secret-tag-name"),
                Secret(tenant.source), Secret(try #require(tenant.environment["HAWSER_PASSWORD"])),
                Secret(String(random.count)), Secret(String(text.utf8.count)),
            ]
            for start in stride(from: 0, to: random.count - 24, by: 50_000) {
                secrets.append(Secret("the content at \(start)", random[start..<start + 24]))
            }
            let places = try await places(scene)
            for (name, bytes) in places {
                for secret in secrets where secret.isFound(in: bytes) {
                    Issue.record("«\(secret.name)» is in \(name)")
                }
            }
            // The search finds what is there: all of it in the tenant's own folder and words, …
            let own = ([text, tenant.source] + options + [tenant.environment["HAWSER_PASSWORD"] ?? ""]).joined()
            let names = try FileManager.default.subpathsOfDirectory(atPath: tenant.source).joined(separator: "\n")
            let plain = Data(own.utf8) + random + Data("\(names) \(random.count) \(text.utf8.count)".utf8)
            for secret in secrets { #expect(secret.isFound(in: plain), "\(secret.name)") }
            #expect(
                Secret("secret-tag-name").isFound(in: Data(Data("a secret-tag-name b".utf8).base64EncodedString().utf8))
            )
            // … and the tenant's name, which the provider knows, with him.
            #expect(places.contains { Secret("acme").isFound(in: $0.1) })
            #expect(
                places.contains { $0.0.hasPrefix("object") } && places.contains { $0.0.hasSuffix("provider.sqlite") }
            )

            // Lengths are those of padded packs: they tell the whole, rounded, and of no chunk or file anything.
            let packs = places.filter { $0.0.contains("/packs/") }
            #expect(!packs.isEmpty)
            for (name, bytes) in packs {
                #expect(bytes.count == Self.padded(bytes.count) && bytes.count >= 64 << 10, "\(name): \(bytes.count)")
            }
        }
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
