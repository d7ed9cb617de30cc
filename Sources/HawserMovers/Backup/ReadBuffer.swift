import HawserStorage
import Synchronization

/// Memory that a reader fills once and the stages behind it share until the last chunk in it is sealed or known.
///
/// It goes back to its pool, and its reservation to the budget, when the last reference is dropped: so a cancelled or
/// dropped element can't leak either.
final class ReadBuffer: @unchecked Sendable {
    // Unchecked: written only by the reader, before the buffer is handed on; after that only read.
    let memory: UnsafeMutableRawBufferPointer
    private let pool: ReadBufferPool

    fileprivate init(memory: UnsafeMutableRawBufferPointer, pool: ReadBufferPool) {
        self.memory = memory
        self.pool = pool
    }

    deinit {
        pool.give(memory)
    }
}

/// Part of a read buffer.
struct BufferSlice: Sendable {
    let buffer: ReadBuffer
    let range: Range<Int>

    func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(buffer) {
            try body(UnsafeRawBufferPointer(rebasing: buffer.memory[range]))
        }
    }
}

/// The job's read buffers: two sizes, kept for reuse (fresh memory costs page faults), bounded by one byte budget.
final class ReadBufferPool: Sendable {
    /// For files up to this size, several in one buffer: an `AsyncStream` hop is worth about this much work.
    static let smallCapacity = 1 << 20

    let largeCapacity: Int
    let budget: ByteBudget
    private let state = Mutex(State())

    private struct State {
        /// By their sizes.
        var free: [Int: [Memory]] = [:]
        /// Bytes in buffers, those in use included.
        var allocated = 0
    }

    private struct Memory: @unchecked Sendable {
        // Unchecked: memory in the pool belongs to nobody else.
        let bytes: UnsafeMutableRawBufferPointer
    }

    /// - Parameters:
    ///   - memory: the most bytes in buffers at a time.
    ///   - largestChunk: a large buffer holds one of these and a block.
    init(memory: Int, largestChunk: Int) {
        largeCapacity = largestChunk + (1 << 20)
        budget = ByteBudget(total: max(memory, 2 * largeCapacity))
    }

    /// Bytes in buffers now, idle ones included.
    var allocated: Int { state.withLock { $0.allocated } }

    deinit {
        state.withLock { state in
            for memory in state.free.values.joined() { memory.bytes.deallocate() }
        }
    }

    /// Waits, in the order of the calls, until the budget has room.
    func take(capacity: Int) async throws -> ReadBuffer {
        try await budget.reserve(capacity)
        let memory = state.withLock { state in
            if let reused = state.free[capacity]?.popLast() { return reused }
            // Buffers of the other size make room.
            for size in state.free.keys {
                while state.allocated + capacity > budget.total, let idle = state.free[size]?.popLast() {
                    idle.bytes.deallocate()
                    state.allocated -= size
                }
            }
            state.allocated += capacity
            // Pages, so that copies by the kernel are aligned.
            return Memory(bytes: .allocate(byteCount: capacity, alignment: 4096))
        }
        return ReadBuffer(memory: memory.bytes, pool: self)
    }

    fileprivate func give(_ memory: UnsafeMutableRawBufferPointer) {
        let kept = Memory(bytes: memory)
        state.withLock { $0.free[memory.count, default: []].append(kept) }
        budget.release(memory.count)
    }
}

/// A byte array on its way through the stages; its memory goes back to the pool with the last reference.
///
/// A reference and not an array, because an array that somebody else still holds is copied when it is used again.
final class PooledBytes: @unchecked Sendable {
    // Unchecked: filled by the stage that took it, before it is handed on; after that only read.
    var bytes: [UInt8]
    private let pool: BytePool

    fileprivate init(_ bytes: [UInt8], pool: BytePool) {
        self.bytes = bytes
        self.pool = pool
    }

    deinit {
        pool.give(bytes)
    }
}

/// Memory for packed and sealed batches. Blocks of all sizes, freed by other threads than those that asked for them,
/// would tear holes into the heap.
final class BytePool: Sendable {
    private let free = Mutex<[[UInt8]]>([])
    /// Two stages, each with a batch in work and one handed on, a core.
    private static let kept = 4 * Machine.cores

    func take() -> PooledBytes {
        var bytes = free.withLock { $0.popLast() } ?? []
        bytes.removeAll(keepingCapacity: true)
        // Room for a batch at once instead of by steps; memory that is never written to costs nothing.
        bytes.reserveCapacity(2 * ReadBufferPool.smallCapacity)
        return PooledBytes(bytes, pool: self)
    }

    fileprivate func give(_ bytes: [UInt8]) {
        free.withLock { if $0.count < Self.kept { $0.append(bytes) } }
    }
}
