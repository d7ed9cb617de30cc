import HawserFormat
import HawserRepository
import HawserStorage

/// The stages of one backup and the streams between them.
struct BackupPipeline: Sendable {
    let repository: Repository
    let source: any BackupSource
    let options: BackupOptions
    let writer: RepositoryWriter
    let pool: ReadBufferPool
    let chunking: ChunkerParameters
    let progress: BackupProgressCounters
    let problems: ProblemLog
    let meters: BackupMeters
    let start: Timestamp
    let parent: ObjectName?

    /// - Returns: the root of the finished tree; every pack is durable.
    func run(previous: PreviousEntries) async throws -> TreeRoot {
        let (walked, walkedInput) = AsyncStream<WalkBatch>.makeStream()
        let (files, filesInput) = AsyncStream<ReadBatch>.makeStream()
        let (hashed, hashedInput) = AsyncStream<HashedBatch>.makeStream()
        let (new, newInput) = AsyncStream<[NewChunk]>.makeStream()
        let (packed, packedInput) = AsyncStream<PackedBatch>.makeStream()
        let (sealed, sealedInput) = AsyncStream<SealedBatch>.makeStream()
        let ahead = ByteBudget(total: WalkStage.aheadLimit)
        let workers = WorkerPool(options.compression)
        let io = BlockingExecutor.shared

        let walk = WalkStage(
            source: source,
            options: options,
            writer: writer,
            reader: BlobReader(repository),
            ahead: ahead,
            progress: progress,
            problems: problems,
            meter: meters.walk,
            output: walkedInput
        )
        let reader = FileReader(
            source: source,
            repository: repository,
            pool: pool,
            chunker: Chunker(parameters: chunking, secret: repository.config.secrets.chunker.bytes),
            smallestCut: chunking.minimum,
            progress: progress,
            meter: meters.read,
            output: filesInput
        )
        let hasher = HashStage(
            writer: writer,
            ids: repository.ids,
            progress: progress,
            zerosAreHoles: source.contentForm == .image,
            known: hashedInput,
            new: newInput
        )
        let buffers = BytePool()
        let compressor = CompressStage(workers: workers, buffers: buffers, output: packedInput)
        let encryptor = EncryptStage(
            sealer: repository.blobs,
            workers: workers,
            buffers: buffers,
            verifies: options.verifies,
            output: sealedInput
        )
        let assembly = AssembleStage(self, ahead: ahead)

        // Uploads run beside the stages, not after them: a flush needs them, and when one fails all else must end.
        return try await withThrowingTaskGroup(of: TreeRoot?.self) { job in
            job.addTask {
                try await writer.runUploads()
                return nil
            }
            job.addTask {
                let root = try await withThrowingTaskGroup(of: TreeRoot?.self) { stages in
                    stages.addTask {
                        defer { walkedInput.finish() }
                        try await withTaskExecutorPreference(io) { try await walk.run(previous: previous) }
                        progress.walkIsDone()
                        return nil
                    }
                    stages.addTask {
                        defer { filesInput.finish() }
                        try await runStage(meters.read, over: walked, on: io, measured: false) {
                            try await reader.read($0)
                        }
                        return nil
                    }
                    stages.addTask {
                        defer {
                            hashedInput.finish()
                            newInput.finish()
                        }
                        try await runStage(meters.hash, over: files) { hasher.hash($0) }
                        return nil
                    }
                    stages.addTask {
                        defer { packedInput.finish() }
                        try await runStage(meters.compress, over: new) { compressor.compress($0) }
                        return nil
                    }
                    stages.addTask {
                        defer { sealedInput.finish() }
                        try await runStage(meters.encrypt, over: packed) { try encryptor.encrypt($0) }
                        return nil
                    }
                    stages.addTask {
                        for await batch in sealed {
                            try await meters.upload.measure {
                                try await writer.append(batch.blobs, in: batch.bytes.bytes)
                            }
                        }
                        try Task.checkCancellation()
                        return nil
                    }
                    stages.addTask {
                        var assembly = assembly
                        for await batch in hashed { try await assembly.take(batch) }
                        try Task.checkCancellation()
                        return try await assembly.finish()
                    }
                    return try await Self.lastResult(of: &stages)
                }
                try await meters.upload.measure { try await writer.flush() }
                await writer.finishUploads()
                return root
            }
            guard let root = try await Self.lastResult(of: &job) else { throw CancellationError() }
            return root
        }
    }

    private static func lastResult(
        of group: inout ThrowingTaskGroup<TreeRoot?, any Error>
    ) async throws -> TreeRoot? {
        var root: TreeRoot?
        for try await result in group { root = result ?? root }
        return root
    }
}
