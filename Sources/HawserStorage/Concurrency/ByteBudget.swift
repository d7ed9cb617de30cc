import HawserFormat

/// Bounds the memory that a job's elements hold: whoever makes one reserves its bytes first and waits until they are
/// free.
///
/// Requests are served in the order in which they came; a large one is not overtaken by small ones behind it. A task
/// that is cancelled while it waits gets `CancellationError` and holds nothing. To stay free of deadlocks, reserve all
/// that a step can need at once and release the rest early; never reserve more while holding some.
public final class ByteBudget: Sendable {
    private let semaphore: AsyncSemaphore

    /// - Parameter total: bytes, above 0.
    public init(total: Int) {
        semaphore = AsyncSemaphore(total: total)
    }

    /// All that can be reserved at one time, bytes.
    public var total: Int { semaphore.total }

    /// What is reserved now, bytes.
    public var used: Int { semaphore.used }

    /// How many requests wait now.
    public var waitingCount: Int { semaphore.waitingCount }

    /// Waits until `bytes` are free, and takes them.
    ///
    /// Throws `invalidArgument` for a negative number or more than `total`: such a request could never be served, and
    /// lowering it silently would break the bound. Throws `CancellationError` when cancelled before or while waiting.
    public func reserve(_ bytes: Int) async throws {
        guard bytes >= 0, bytes <= total else {
            throw HawserError(
                .invalidArgument,
                "One step needs \(bytes) bytes, but all of them together may use \(total). Allow more memory."
            )
        }
        try await semaphore.take(bytes)
    }

    /// Gives back bytes, all of a reservation or a part of it.
    /// - Precondition: at least that many are reserved.
    public func release(_ bytes: Int) {
        semaphore.give(bytes)
    }

    public func withReservation<Result>(
        _ bytes: Int,
        _ body: () async throws -> Result
    ) async throws -> Result {
        try await reserve(bytes)
        defer { release(bytes) }
        return try await body()
    }
}
