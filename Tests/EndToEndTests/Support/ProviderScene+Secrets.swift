import Foundation
import HawserTestServer
import Synchronization
import Testing

extension CommandResult {
    /// What a machine or a gateway joins with.
    func joinString() throws -> String { try #require(objects.first?["join_string"] as? String, "\(self)") }
}

/// What no server may say.
extension ProviderScene {
    func addSecret(_ text: String) { secrets.withLock { $0.append(text) } }

    func isSecret(in text: String) -> Bool { secrets.withLock { $0.contains { text.contains($0) } } }

    func joinString(_ result: CommandResult) throws -> String {
        let join = try result.joinString()
        addSecret(join)
        addSecret(try #require(result.objects.first?["code"] as? String, "\(result)"))
        return join
    }

    /// The provider's key, and those of machines and gateways.
    func addSecretsOfFiles() throws {
        let places = [system.directory.path, try #require(tenant.environment["XDG_CONFIG_HOME"])]
        for place in places {
            for name in FileManager.default.enumerator(atPath: place)?.compactMap({ $0 as? String }) ?? [] {
                let url = URL(filePath: place + "/" + name)
                switch url.lastPathComponent {
                case "provider.key":
                    addSecret(String(decoding: try Data(contentsOf: url).prefix(64), as: UTF8.self))
                case "office.json", "gateway.json":
                    let fields = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
                    if let key = fields?["key"] as? String { addSecret(key) }
                default: break
                }
            }
        }
        for key in testServer?.sessions ?? [] { if let secret = testServer?.secret(of: key) { addSecret(secret) } }
    }

    /// Whether it has the signature of a request that the storage got: with a ticket's, anybody can send it.
    func hasSecretOfRequests(_ text: String) -> Bool {
        let pattern = /Signature=([0-9a-f]{64})/
        let sent = (testServer?.requests ?? []).flatMap { request in
            [request.target, request.headers["authorization"] ?? ""].flatMap { $0.matches(of: pattern) }
                .map { String($0.output.1) }
        }
        let signatures = Set(sent)
        return text.matches(of: /[0-9a-f]{64}/).contains { signatures.contains(String($0.output)) }
    }

    /// Whether it has what can be a token of a session, a gateway or a mover: 256 random bits in base64url. Nobody outside
    /// of the processes knows one.
    static func hasToken(_ text: String) -> Bool {
        let words = text.utf8.split { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                false
            default: true
            }
        }
        return words.contains { word in
            word.count == 43 && word.contains { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                && word.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
                && word.contains { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        }
    }
}
