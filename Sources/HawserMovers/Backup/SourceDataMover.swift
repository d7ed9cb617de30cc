public import HawserFormat
public import HawserRepository
import HawserStorage
import Synchronization

/// What a finished backup did.
public struct BackupSummary: Sendable {
    /// `nil` after a dry run, or when nothing had changed and the snapshot was skipped.
    public var snapshotID: ObjectName?
    public var parent: ObjectName?
    public var files = EntryCounts()
    public var directories = EntryCounts()
    public var others = EntryCounts()
    /// Bytes of new chunks before and after compression and sealing.
    public var dataAdded: UInt64 = 0
    public var dataAddedPacked: UInt64 = 0
    public var newChunks: UInt64 = 0
    public var filesProcessed: UInt64 = 0
    public var bytesProcessed: UInt64 = 0
    public var bytesRead: UInt64 = 0
    public var duration = Duration.zero
    /// What could not be read, or changed while it was read. The first thousand; `problemCount` counts all.
    public var problems: [Problem] = []
    public var problemCount = 0
    public var limitingStage: BackupStage?

    public init() {}
}

/// Owns the tenant's side of one backup: read, chunk and hash, compress, encrypt and pack, as `AsyncStream` stages of
/// one task group under one byte budget.
public actor SourceDataMover {
    private let repository: Repository
    private let options: BackupOptions
    private let counters: BackupProgressCounters
    private let problems: ProblemLog
    private let meters = BackupMeters()
    /// The read buffers of the pass that runs or ran last.
    private(set) var pool: ReadBufferPool?

    /// - Parameter report: called at once for everything that can't be backed up.
    public init(
        _ repository: Repository,
        options: BackupOptions,
        report: @escaping @Sendable (Problem) -> Void = { _ in }
    ) {
        self.repository = repository
        self.options = options
        counters = BackupProgressCounters(meters: meters)
        problems = ProblemLog(report)
    }

    /// How far it is; can be asked at any time.
    public nonisolated var progress: BackupProgress { counters.snapshot(problems: problems.count) }

    /// Backs the source up and commits a snapshot.
    ///
    /// Cancelling the task ends the run within a second; what was stored is reused by the next run.
    /// - Throws: `HawserError`. What can't be read of the source is no error but a problem in the summary.
    public func backup(_ source: some BackupSource) async throws -> BackupSummary {
        if repository.isReadOnly, !options.dryRun {
            throw HawserError(.unsupported, "A newer version has written this repository: this one can only read it.")
        }
        // Garbage collection may mark a pack while the session runs, and delete it: then its chunks are stored again, which
        // the second pass does by itself because they count as unknown. A third mark in a row would be a broken collector.
        for _ in 0..<3 {
            do {
                return try await pass(source)
            } catch let condemnation as RepositoryWriter.Condemnation {
                repository.index.condemn(condemnation.packs)
                if source.isReadOnce { break }
            }
        }
        throw HawserError(
            .pruneInTheWay,
            "Packs that this backup needs were marked for deletion again and again. Let the running prune finish first.",
            isRetryable: true
        )
    }

    private func pass(_ source: some BackupSource) async throws -> BackupSummary {
        let start = Timestamp.now
        let clock = ContinuousClock.now
        counters.reset()
        problems.reset()
        if !options.dryRun { _ = try await repository.recoverJournalledPacks() }
        async let sessionStart = repository.sessionStart()
        let parent = try await findParent(source)
        let session = try await sessionStart
        let checkpoint =
            try await options.force
            ? nil
            : repository.checkpoint(
                of: session,
                hostname: options.hostname,
                paths: source.paths,
                excludes: options.excludes.map { Array($0.utf8) },
                startedAfter: parent?.snapshot.summary.started
            )
        let previous = await PreviousEntries(checkpoint: checkpoint, parent: parent?.snapshot, in: repository)
        repository.index.condemn(session.condemned)
        var writer = try RepositoryWriter(
            repository,
            compression: options.compression,
            memory: options.memory,
            storesNothing: options.dryRun
        )
        let pool = ReadBufferPool(memory: options.memory / 8, largestChunk: chunking(source).maximum)
        self.pool = pool
        let pipeline = BackupPipeline(
            repository: repository,
            source: source,
            options: options,
            writer: writer,
            pool: pool,
            chunking: chunking(source),
            progress: counters,
            problems: problems,
            meters: meters,
            start: start,
            parent: parent?.id
        )
        let root = try await pipeline.run(previous: previous)
        var summary = await self.summary(writer, parent: parent?.id)
        let isSame = parent.map { $0.snapshot.tree == root.id && $0.snapshot.treeHeight == root.height } ?? false
        if !options.dryRun, !(options.skipsIfUnchanged && isSame) {
            let snapshot = snapshot(source, root, summary, start: start, parent: parent)
            (summary.snapshotID, writer) = try await commit(snapshot, writer, parent)
        }
        try await writer.close()
        summary.duration = .now - clock
        return summary
    }

    /// Commits; what lies in packs that were marked meanwhile is stored anew before.
    ///
    /// - Returns: the snapshot's id, and the writer that is to be closed.
    private func commit(
        _ snapshot: Snapshot,
        _ first: RepositoryWriter,
        _ parent: StoredSnapshot?
    ) async throws -> (ObjectName, RepositoryWriter) {
        var writer = first
        var moves = 2
        while true {
            do {
                let id = try await writer.commit(snapshot) { [repository] in
                    if let parent { try await repository.fullRefs(of: parent.id) } else { nil }
                }
                return (id, writer)
            } catch let condemnation as RepositoryWriter.Condemnation where moves > 0 {
                moves -= 1
                // The first one's buffers are still there.
                let next = try await writer.moved(
                    from: condemnation,
                    compression: options.compression,
                    memory: options.memory / 2
                )
                try await writer.close()
                writer = next
            }
        }
    }

    private func chunking(_ source: some BackupSource) -> ChunkerParameters {
        switch source.contentForm {
        case .files: repository.config.header.fileChunker
        case .image: repository.config.header.imageChunker
        }
    }

    private func findParent(_ source: some BackupSource) async throws -> StoredSnapshot? {
        switch options.parent {
        case .snapshot(let id): return StoredSnapshot(id: id, snapshot: try await repository.snapshot(id))
        case .automatic:
            var filter = SnapshotFilter()
            filter.hosts = [options.hostname]
            let paths = Set(source.paths)
            return try await repository.snapshots(filter, unreadable: { _, _ in })
                .last { Set($0.snapshot.paths) == paths }
        }
    }

    private func summary(_ writer: RepositoryWriter, parent: ObjectName?) async -> BackupSummary {
        let counted = counters.current
        let totals = await writer.currentTotals
        var summary = BackupSummary()
        summary.parent = parent
        summary.files = counted.files
        summary.directories = counted.directories
        summary.others = counted.others
        summary.dataAdded = options.dryRun ? counted.newBytes : totals.plainBytes
        summary.dataAddedPacked = totals.storedBytes
        summary.newChunks = options.dryRun ? counted.newChunks : UInt64(totals.chunks)
        summary.filesProcessed = counted.filesDone
        summary.bytesProcessed = counted.bytesDone
        summary.bytesRead = counted.bytesRead
        summary.problems = problems.problems
        summary.problemCount = problems.count
        summary.limitingStage = progress.limitingStage
        return summary
    }

    private func snapshot(
        _ source: some BackupSource,
        _ root: TreeRoot,
        _ counts: BackupSummary,
        start: Timestamp,
        parent: StoredSnapshot?
    ) -> Snapshot {
        var summary = Snapshot.Summary(started: start, ended: .now)
        summary.filesNew = counts.files.new
        summary.filesChanged = counts.files.changed
        summary.filesUnmodified = counts.files.unmodified
        summary.directoriesNew = counts.directories.new
        summary.directoriesChanged = counts.directories.changed
        summary.directoriesUnmodified = counts.directories.unmodified
        summary.files = counts.filesProcessed
        summary.directories = counts.directories.total
        summary.others = counts.others.total
        summary.bytes = counts.bytesProcessed
        summary.bytesAdded = counts.dataAdded
        summary.bytesAddedPacked = counts.dataAddedPacked
        var snapshot = Snapshot(
            time: options.time ?? start,
            hostname: options.hostname,
            username: options.username,
            paths: source.paths,
            tree: root.id,
            treeHeight: root.height,
            programVersion: HawserVersion.text,
            summary: summary
        )
        snapshot.tags = options.tags.map { Array($0.utf8) }
        snapshot.excludes = options.excludes.map { Array($0.utf8) }
        snapshot.parent = parent?.id
        snapshot.isComplete = counts.problemCount == 0
        snapshot.errorCount = UInt64(counts.problemCount)
        return snapshot
    }
}
