import NIOCore
import Synchronization

/// How long a client may let the server wait in the middle of a body. Only that time counts: neither the tenant's rate nor the
/// storage is the client's fault. Pure: the time is given.
struct Patience {
    // A client on a slower line gives its place to others.
    private static let slowest = 8 << 10
    private static let most = TimeAmount.seconds(60)

    private var left = Patience.most
    private var since: NIODeadline?

    mutating func begin(_ now: NIODeadline) { since = now }

    /// So many bytes have come, or were taken.
    mutating func end(_ bytes: Int, _ now: NIODeadline) {
        guard let since else { return }
        self.since = nil
        left = min(Self.most, left - (now - since) + .nanoseconds(Int64(bytes) * 1_000_000_000 / Int64(Self.slowest)))
    }

    func isOver(_ now: NIODeadline) -> Bool { since.map { left < now - $0 } ?? false }
}

/// Closes a connection whose client lets the server wait for too long.
final class ClientWatch: Sendable {
    // How late that may be noticed.
    private static let tick = TimeAmount.seconds(5)

    private let patience = Mutex(Patience())

    /// To be cancelled at the end of the body.
    func start(_ channel: any Channel) -> RepeatedTask {
        channel.eventLoop.scheduleRepeatedTask(initialDelay: Self.tick, delay: Self.tick) { _ in
            if self.patience.withLock({ $0.isOver(.now()) }) { channel.close(promise: nil) }
        }
    }

    /// The client's turn begins.
    func begin() { patience.withLock { $0.begin(.now()) } }

    func end(_ bytes: Int) { patience.withLock { $0.end(bytes, .now()) } }
}
