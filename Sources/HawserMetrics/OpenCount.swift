import Synchronization

/// How many connections are open, with a limit.
final class OpenCount: Sendable {
    private let count = Mutex(0)

    /// `false` when there are so many already.
    func enter(limit: Int) -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func leave() {
        count.withLock { $0 -= 1 }
    }
}
