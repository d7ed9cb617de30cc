import InMemoryLogging
import Logging
import Synchronization
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Keeps every line that a server logs, and the secrets that must be in none of them.
final class ServerLog: Sendable {
    private let handler = InMemoryLogHandler()
    private let secrets = Mutex<Set<String>>([])

    var logger: Logger {
        var logger = Logger(label: "test") { _ in self.handler }
        logger.logLevel = .trace
        return logger
    }

    var lines: [String] {
        handler.entries.map { entry in
            let fields = entry.metadata.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            return "\(entry.level) \(entry.message) \(fields.joined(separator: " "))"
        }
    }

    func addSecret(_ text: String) {
        secrets.withLock { _ = $0.insert(text) }
    }

    func addKey(of folder: ProviderFolder) throws {
        addSecret(String(decoding: try Data(contentsOf: URL(filePath: folder.keyFile)).prefix(64), as: UTF8.self))
    }

    func expectNoSecret() {
        let (lines, secrets) = (lines, secrets.withLock { $0 })
        for secret in secrets {
            #expect(secret.utf8.count >= 16)
            for line in lines where line.contains(secret) {
                Issue.record("A log line holds a secret: \(line.replacing(secret, with: "SECRET"))")
            }
        }
    }
}
