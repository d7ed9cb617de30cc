import HawserFormat
import Synchronization

/// The directories that were used last, so that a file is reached with one name instead of a path. A handle closes its
/// descriptor when the last user lets go of it, so the cache may drop it at any time.
final class HandleCache<Handle: AnyObject & Sendable>: Sendable {
    // Paths have no limit of length, so what the keys take is bounded too.
    private static var byteLimit: Int { 1 << 20 }
    private static var minimum: Int { 8 }

    private struct Key: Hashable {
        var path: EntryPath

        /// The end of a path tells directories apart; all of a very long one need not be hashed.
        func hash(into hasher: inout Hasher) {
            path.bytes.withUnsafeBytes { bytes in
                hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes.suffix(128)))
            }
        }
    }

    private struct State {
        var handles: [Key: (handle: Handle, used: UInt64)] = [:]
        var clock: UInt64 = 0
        var bytes = 0
    }

    private let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: how many directories are kept open: 2 or more.
    init(capacity: Int) {
        self.capacity = max(capacity, 2)
    }

    func handle(for path: EntryPath) -> Handle? {
        state.withLock { state in
            guard let index = state.handles.index(forKey: Key(path: path)) else { return nil }
            state.clock += 1
            state.handles.values[index].used = state.clock
            return state.handles.values[index].handle
        }
    }

    func insert(_ handle: Handle, for path: EntryPath) {
        // A dropped handle may close its descriptor: not while the lock is held.
        let dropped: [Handle] = state.withLock { state in
            state.clock += 1
            let old = state.handles.updateValue((handle, state.clock), forKey: Key(path: path))
            if old == nil { state.bytes += path.bytes.count }
            let isFull =
                state.handles.count > capacity
                || state.bytes > Self.byteLimit && state.handles.count > Self.minimum
            return (old.map { [$0.handle] } ?? []) + (isFull ? Self.removeOldest(&state) : [])
        }
        _ = dropped
    }

    func removeAll() {
        let dropped = state.withLock { state in
            let all = state.handles
            state = State()
            return all
        }
        _ = dropped
    }

    /// Half of them, so that it is seldom done.
    private static func removeOldest(_ state: inout State) -> [Handle] {
        let ages = state.handles.values.map(\.used).sorted()
        let oldest = ages[ages.count / 2]
        let dropped = state.handles.values.filter { $0.used < oldest }.map(\.handle)
        state.handles = state.handles.filter { $0.value.used >= oldest }
        state.bytes = state.handles.keys.reduce(0) { $0 + $1.path.bytes.count }
        return dropped
    }
}
