import Synchronization

/// Whether the configuration database takes what the server writes.
final class DatabaseHealth: Sendable {
    // A line each second would fill a disk that may be full already.
    private static let pause = Duration.seconds(60)

    /// When it was last told that nothing can be written; `nil` while all is well.
    private let told = Mutex<ContinuousClock.Instant?>(nil)

    var isGood: Bool { told.withLock { $0 == nil } }

    /// - Returns: whether it failed before.
    func succeeded() -> Bool {
        told.withLock { told in
            defer { told = nil }
            return told != nil
        }
    }

    /// - Returns: whether it is time to tell: at first, and every minute.
    func failed(at now: ContinuousClock.Instant = .now) -> Bool {
        told.withLock { told in
            if let told, now - told < Self.pause { return false }
            told = now
            return true
        }
    }
}
