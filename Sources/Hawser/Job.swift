/// A backup or a restore that is about to run, and its progress.
///
/// ```swift
/// let job = repository.backupJob(source)
/// async let summary = job.run()
/// for await progress in job.progress { print(progress.bytesDone) }
/// print(try await summary)
/// ```
///
/// Nothing starts before `run`, and nothing goes on after it has returned. Cancelling the task that runs it ends the job within
/// a second.
public struct Job<Progress: Sendable, Summary: Sendable>: Sendable {
    /// How far the job is, some times a second; ends with it. A slow reader misses what is out of date, and none is needed.
    /// For one reader.
    public let progress: AsyncStream<Progress>

    private let updates: AsyncStream<Progress>.Continuation
    private let interval: Duration
    private let sample: @Sendable () -> Progress
    private let work: @Sendable () async throws -> Summary

    init(
        every interval: Duration,
        sample: @escaping @Sendable () -> Progress,
        work: @escaping @Sendable () async throws -> Summary
    ) {
        (progress, updates) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.interval = interval
        self.sample = sample
        self.work = work
    }

    /// Does the work. To be called once.
    ///
    /// - Parameter onProgress: called as often as `progress` has a value, one call at a time, and after the last change.
    @discardableResult
    public func run(onProgress: @escaping @Sendable (Progress) -> Void = { _ in }) async throws -> Summary {
        defer { updates.finish() }
        let report = { @Sendable in
            let state = sample()
            updates.yield(state)
            onProgress(state)
        }
        return try await withThrowingTaskGroup(of: Summary?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                while !Task.isCancelled {
                    report()
                    try? await Task.sleep(for: interval)
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result {
                    group.cancelAll()
                    try? await group.waitForAll()
                    report()
                    return result
                }
            }
            throw CancellationError()
        }
    }
}

public typealias BackupJob = Job<BackupProgress, BackupSummary>
public typealias RestoreJob = Job<RestoreProgress, RestoreSummary>

extension Repository {
    /// A backup of `source` into this repository.
    ///
    /// - Parameters:
    ///   - interval: between two reports of progress.
    ///   - onProblem: called at once for everything that can't be read; the rest is backed up.
    public func backupJob(
        _ source: some BackupSource,
        options: BackupOptions = BackupOptions(),
        every interval: Duration = .milliseconds(200),
        onProblem: @escaping @Sendable (Problem) -> Void = { _ in }
    ) -> BackupJob {
        let mover = SourceDataMover(self, options: options, report: onProblem)
        return Job(every: interval, sample: { mover.progress }, work: { try await mover.backup(source) })
    }

    /// A restore from this repository.
    ///
    /// - Parameters:
    ///   - interval: between two reports of progress.
    ///   - onProblem: called at once for everything that can't be restored; the rest is.
    public func restoreJob(
        _ request: RestoreRequest,
        every interval: Duration = .milliseconds(200),
        onProblem: @escaping @Sendable (Problem) -> Void = { _ in }
    ) -> RestoreJob {
        let mover = RestoreMover(self, request, report: onProblem)
        return Job(every: interval, sample: { mover.progress }, work: { try await mover.run() })
    }

    /// Backs `source` up and waits for the end. What could not be read is in the summary.
    @discardableResult
    public func backup(
        _ source: some BackupSource,
        options: BackupOptions = BackupOptions(),
        onProgress: @escaping @Sendable (BackupProgress) -> Void = { _ in }
    ) async throws -> BackupSummary {
        try await backupJob(source, options: options).run(onProgress: onProgress)
    }

    /// Restores and waits for the end. What could not be restored is in the summary.
    @discardableResult
    public func restore(
        _ request: RestoreRequest,
        onProgress: @escaping @Sendable (RestoreProgress) -> Void = { _ in }
    ) async throws -> RestoreSummary {
        try await restoreJob(request).run(onProgress: onProgress)
    }
}
