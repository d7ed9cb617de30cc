package import Logging
import NIOCore
import Synchronization

/// Logs at most five lines of a kind in ten seconds, and how many more there were: a flood of requests is no flood of lines.
package final class ThrottledLog<Kind: Hashable & Sendable>: Sendable {
    private let logger: Logger
    private let throttle = Mutex(LogThrottle<Kind>(burst: 5, every: .seconds(10)))

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// - Parameter kind: One of few: each is remembered.
    package func note(
        _ kind: Kind,
        _ level: Logger.Level,
        _ message: Logger.Message,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard logger.logLevel <= level, let suppressed = throttle.withLock({ $0.pass(kind, now: .now()) }) else {
            return
        }
        var metadata = metadata()
        if suppressed > 0 { metadata["suppressed"] = "\(suppressed)" }
        logger.log(level: level, message, metadata: metadata)
    }
}
