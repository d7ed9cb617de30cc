import Foundation
import NIOCore
import Synchronization

/// What the tenants hear, and when.
final class Arrivals: Sendable {
    private struct State {
        /// What a line must contain to count.
        var awaited: [UInt8] = []
        var times: [Int: ContinuousClock.Instant] = [:]
        var connected: Set<Int> = []
        var lost: Set<Int> = []
        var heartbeats = 0
    }

    private let state = Mutex(State())

    /// Streams that are open.
    var connected: Int { state.withLock { $0.connected.count } }
    /// Tenants whose session the server did not know any more.
    var lost: Int { state.withLock { $0.lost.count } }
    var heartbeats: Int { state.withLock { $0.heartbeats } }

    func hear(_ line: ByteBufferView, of tenant: Int) {
        let now = ContinuousClock.now
        let isHeartbeat = line.count < 50 && line.contains("heartbeat")
        state.withLock { state in
            state.connected.insert(tenant)
            if isHeartbeat { state.heartbeats += 1 }
            guard !state.awaited.isEmpty, state.times[tenant] == nil, line.contains(state.awaited) else { return }
            state.times[tenant] = now
        }
    }

    func leave(_ tenant: Int) { state.withLock { _ = $0.connected.remove(tenant) } }

    func lose(_ tenant: Int) { state.withLock { _ = $0.lost.insert(tenant) } }

    /// From now on counts the tenants that hear this.
    func listen(for text: String) {
        state.withLock { state in
            state.awaited = Array(text.utf8)
            state.times = [:]
        }
    }

    /// When each heard it; fewer than `count` when the rest did not within the time.
    func times(of count: Int, within limit: Duration) async throws -> [Int: ContinuousClock.Instant] {
        let end = ContinuousClock.now + limit
        while state.withLock({ $0.times.count }) < count, .now < end { try await Task.sleep(for: .milliseconds(20)) }
        return state.withLock { $0.times }
    }
}
