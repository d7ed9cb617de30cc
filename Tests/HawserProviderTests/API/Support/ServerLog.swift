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
    /// Tells of each message too.
    private struct Handler: LogHandler {
        var base: InMemoryLogHandler
        let message: AsyncStream<String>.Continuation

        var logLevel: Logger.Level {
            get { base.logLevel }
            set { base.logLevel = newValue }
        }
        var metadata: Logger.Metadata {
            get { base.metadata }
            set { base.metadata = newValue }
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { base[metadataKey: key] }
            set { base[metadataKey: key] = newValue }
        }

        func log(event: LogEvent) {
            base.log(event: event)
            message.yield("\(event.message)")
        }
    }

    private let handler = InMemoryLogHandler()
    private let secrets = Mutex<Set<String>>([])
    private let messages: AsyncStream<String>
    private let message: AsyncStream<String>.Continuation

    init() {
        (messages, message) = AsyncStream.makeStream()
    }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(base: self.handler, message: self.message) }
        logger.logLevel = .trace
        return logger
    }

    /// Waits for the message. One that was waited for does not count again, nor do those before it.
    func wait(for message: String) async throws {
        _ = try #require(await messages.first { $0 == message })
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
