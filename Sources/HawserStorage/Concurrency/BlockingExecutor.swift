import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads for calls that block, so that file I/O never holds a thread of Swift's cooperative pool.
///
/// `withTaskExecutorPreference(executor) { … }` runs the code of a scope (as far as no actor owns it) on these threads;
/// `run` moves one closure there; `runAbandonable` lets a cancelled caller go on while the kernel still holds the
/// thread.
public final class BlockingExecutor: TaskExecutor {
    /// For everything that has no reason to own threads. Its threads start on first use and stay.
    public static let shared = BlockingExecutor(
        pool: ._makePerpetualStartedPool(numberOfThreads: sharedThreadCount, threadNamePrefix: "hawser-io-")
    )

    // Calls wait for a disk, not for a core: eight keep a disk's queue busy and let the journal commit several fsyncs
    // as one; many-core machines drive faster storage. More than 32 add memory (one malloc arena each), not speed.
    private static let sharedThreadCount = min(max(2 * sysconf(CInt(_SC_NPROCESSORS_ONLN)), 8), 32)

    private let pool: NIOThreadPool

    public var threadCount: Int { pool.numberOfThreads }

    private init(pool: NIOThreadPool) {
        self.pool = pool
    }

    /// Own threads for the time of `body`. Returns when they have ended: all calls are awaited, abandoned ones too.
    /// - Parameter threads: 1 or more.
    public static func withThreads<Result>(
        _ threads: Int,
        _ body: (BlockingExecutor) async throws -> Result
    ) async throws -> Result {
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        let result = await Swift.Result { try await body(BlockingExecutor(pool: pool)) }
        try await pool.shutdownGracefully()
        return try result.get()
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // A job must run, whatever the state of the pool: otherwise its task never ends.
        submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs `body`, which may block, on one of the threads, whichever actor the caller is on.
    ///
    /// Cancellation does not interrupt it.
    public func run<Result: Sendable, Failure>(
        _ body: @Sendable () throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        try await withTaskExecutorPreference(self) { () async throws(Failure) -> Result in
            try await Self.perform(body)
        }
    }

    // Concurrent, so that it leaves the caller's actor for the preferred executor.
    @concurrent
    private static func perform<Result: Sendable, Failure>(
        _ body: @Sendable () throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        try body()
    }

    func submit(_ body: @escaping @Sendable () -> Void) {
        pool.submit { _ in body() }
    }
}
