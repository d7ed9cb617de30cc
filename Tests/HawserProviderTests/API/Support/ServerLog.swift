import Logging
import Synchronization
import Testing

/// Keeps every line that a server logs, and the secrets that must be in none of them.
final class ServerLog: Sendable {
    private struct State {
        var lines: [String] = []
        var secrets: Set<String> = []
    }

    private let state = Mutex(State())

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(log: self) }
        logger.logLevel = .trace
        return logger
    }

    var lines: [String] { state.withLock { $0.lines } }

    func addSecret(_ text: String) {
        state.withLock { _ = $0.secrets.insert(text) }
    }

    func expectNoSecret() {
        let (lines, secrets) = state.withLock { ($0.lines, $0.secrets) }
        for secret in secrets {
            #expect(secret.utf8.count >= 16)
            for line in lines where line.contains(secret) {
                Issue.record("A log line holds a secret: \(line.replacing(secret, with: "SECRET"))")
            }
        }
    }

    private struct Handler: LogHandler {
        let log: ServerLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
            let fields = all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let line = "\(event.level) \(event.message) \(fields.joined(separator: " "))"
            log.state.withLock { $0.lines.append(line) }
        }
    }
}
