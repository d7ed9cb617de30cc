import NIOConcurrencyHelpers
import NIOCore

/// Closes the idle connections of one event loop: one timer for all of them.
///
/// A task for each connection would be a few hundred bytes more for each, and NIO searches all tasks of a loop to cancel one:
/// with thousands of idle connections every connection that ends would pay for them.
final class IdleWatch {
    private let eventLoop: any EventLoop
    private let limit: TimeAmount
    /// How late a connection may be found: a twentieth of the limit.
    private let interval: TimeAmount
    private var connections: [ObjectIdentifier: RelayedConnection] = [:]
    private var isScheduled = false

    init(eventLoop: any EventLoop, limit: TimeAmount) {
        self.eventLoop = eventLoop
        self.limit = limit
        interval = .nanoseconds(max(limit.nanoseconds / 20, 1_000_000))
    }

    func add(_ connection: RelayedConnection) {
        connections[ObjectIdentifier(connection)] = connection
        schedule()
    }

    func remove(_ connection: RelayedConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    private func schedule() {
        guard !isScheduled, !connections.isEmpty else { return }
        isScheduled = true
        _ = eventLoop.assumeIsolated().scheduleTask(in: interval) {
            self.isScheduled = false
            // Not `now - limit`: NIO's clock counts from the start of the machine, and a difference below 0 would be 0.
            let now = self.eventLoop.now
            // Copied first: they leave when they are closed.
            for connection in self.connections.values.filter({ $0.lastActivity + self.limit <= now }) {
                connection.isIdle()
            }
            self.schedule()
        }
    }
}

/// The watch of each event loop, made when it is first needed.
final class IdleWatches: Sendable {
    private let limit: TimeAmount
    private let watches = NIOLockedValueBox<[ObjectIdentifier: NIOLoopBound<IdleWatch>]>([:])

    init(limit: TimeAmount) {
        self.limit = limit
    }

    /// Call it on the event loop.
    func watch(of eventLoop: any EventLoop) -> IdleWatch {
        watches.withLockedValue { watches in
            let id = ObjectIdentifier(eventLoop)
            if let watch = watches[id] { return watch }
            let watch = NIOLoopBound(IdleWatch(eventLoop: eventLoop, limit: limit), eventLoop: eventLoop)
            watches[id] = watch
            return watch
        }.value
    }
}
