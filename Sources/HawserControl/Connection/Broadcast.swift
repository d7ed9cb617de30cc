import Synchronization

/// A value that changes, for any number of readers: each gets the present one first, and then the newest whenever it
/// comes to read. What was overtaken meanwhile is left out.
final class Broadcast<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var readers: [UInt64: AsyncStream<Value>.Continuation] = [:]
        var nextID: UInt64 = 0
    }

    private let state: Mutex<State>

    init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    var value: Value { state.withLock { $0.value } }

    /// In one step; readers see the result.
    func update(_ change: (inout Value) -> Void) {
        state.withLock { state in
            change(&state.value)
            // Under the lock, so that no reader gets an older value after a newer one.
            for reader in state.readers.values { reader.yield(state.value) }
        }
    }

    func values() -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream<Value>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            state.nextID += 1
            state.readers[state.nextID] = continuation
            continuation.yield(state.value)
            return state.nextID
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.readers.removeValue(forKey: id) }
        }
        return stream
    }
}
