import HawserFormat
import HawserRepository
import HawserStorage

/// Puts the walk's order back, joins what was read of each file with its entry, and builds the tree.
///
/// A value owned by the one task that iterates over the hashed batches.
struct AssembleStage {
    private let pipeline: BackupPipeline
    private let ahead: ByteBudget
    private var tree: TreeBuilder

    /// Batches that came before their turn.
    private var early: [Position: HashedBatch] = [:]
    private var next = Position(batch: 0, part: 0)
    private var inWork: InWork?
    /// What the entries of the present batch held of the walk-ahead budget.
    private var done = 0

    private struct Position: Hashable {
        var batch: Int
        var part: Int
    }

    /// The file whose parts are coming.
    private struct InWork {
        var entry: Entry
        var charge: Int
        var list: ContentListBuilder
        var inline: [UInt8]?
    }

    private var lastCheckpoint = ContinuousClock.now

    init(_ pipeline: BackupPipeline, ahead: ByteBudget) {
        self.pipeline = pipeline
        self.ahead = ahead
        tree = Self.emptyTree(pipeline.repository)
    }

    private static func emptyTree(_ repository: Repository) -> TreeBuilder {
        TreeBuilder(treeKey: repository.config.secrets.tree.bytes, id: repository.ids.id(of:type:))
    }

    private var writer: RepositoryWriter { pipeline.writer }
    private var ids: ChunkIDKeys { pipeline.repository.ids }

    mutating func take(_ batch: HashedBatch) async throws {
        early[Position(batch: batch.batch, part: batch.part)] = batch
        while let due = early.removeValue(forKey: next) {
            next =
                due.isLast ? Position(batch: next.batch + 1, part: 0) : Position(batch: next.batch, part: next.part + 1)
            for file in due.files { try await take(file) }
            // Once a batch: for each entry alone the walk would be woken to find one more.
            ahead.release(done)
            done = 0
        }
        if ContinuousClock.now - lastCheckpoint >= pipeline.options.checkpointInterval, !pipeline.options.dryRun {
            try await writeCheckpoint()
            lastCheckpoint = .now
        }
    }

    private mutating func take(_ part: FilePart<HashedExtent>) async throws {
        if let entry = part.entry {
            inWork = InWork(entry: entry, charge: part.charge, list: ContentListBuilder(id: ids.id(of:type:)))
        }
        guard inWork != nil else { return }
        for piece in part.pieces {
            switch piece {
            case .inline(let bytes): inWork?.inline = bytes
            case .extent(let extent):
                for blob in try inWork?.list.append(extent) ?? [] { try await writer.store(blob) }
            }
        }
        guard let end = part.end, var file = inWork else { return }
        inWork = nil
        switch end {
        case .failed(let error):
            if pipeline.source.isAllOrNothing { throw error.ofSource }
            pipeline.problems.add(file.entry.path, error)
        case .unread: try await append(&file.entry)
        case .read(let size, let changed):
            let (blobs, content) = file.list.finish()
            for blob in blobs { try await writer.store(blob) }
            file.entry.size = size
            file.entry.content = file.inline.map { .inline($0) } ?? content
            if changed {
                file.entry.changedWhileRead = true
                pipeline.problems.add(
                    file.entry.path,
                    HawserError(
                        .changed,
                        "It changed while it was read: what is stored may hold parts of two states.",
                        place: file.entry.path.description
                    )
                )
            }
            try await append(&file.entry)
        }
        done += file.charge
    }

    private mutating func append(_ entry: inout Entry) async throws {
        let blobs: [TreeBlob]
        do {
            var attributes: [TreeBlob] = []
            if entry.attributes.reduce(0, { $0 + $1.name.count + $1.value.count }) > Entry.attributeLimit {
                let bytes = try AttributeBlob.encode(entry.attributes)
                let id = bytes.withUnsafeBytes { ids.id(of: $0, type: .attribute) }
                attributes.append(TreeBlob(id: id, type: .attribute, bytes: bytes))
                entry.attributes = []
                entry.attributeBlob = id
            }
            blobs = try attributes + tree.append(entry)
        } catch let error as HawserError where error.code == .invalidArgument {
            pipeline.problems.add(entry.path, error)
            return
        }
        for blob in blobs { try await writer.store(blob) }
        pipeline.progress.finished(entry)
    }

    /// Stores the last pages.
    mutating func finish() async throws -> TreeRoot {
        let (blobs, root) = tree.finish()
        for blob in blobs { try await writer.store(blob) }
        return root
    }

    /// Makes what has been assembled so far durable and names it in a checkpoint.
    private func writeCheckpoint() async throws {
        // All buffers back: every chunk of what was assembled is in a pack.
        try await pipeline.pool.budget.withReservation(pipeline.pool.budget.total) {}
        let options = pipeline.options
        var checkpoint = Checkpoint(
            started: pipeline.start,
            time: .now,
            hostname: options.hostname,
            username: options.username,
            paths: pipeline.source.paths,
            programVersion: HawserVersion.text
        )
        checkpoint.excludes = options.excludes.map { Array($0.utf8) }
        checkpoint.parent = pipeline.parent
        if let last = tree.last {
            let (blobs, root) = tree.finish()
            for blob in blobs { try await writer.store(blob) }
            checkpoint.prefix = Checkpoint.Prefix(tree: root.id, treeHeight: root.height, lastPath: last)
        }
        checkpoint.fileInWork = try await fileInWork()
        if checkpoint.prefix == nil, checkpoint.fileInWork == nil { return }
        try await writer.flush()
        try await writer.commit(checkpoint)
    }

    private func fileInWork() async throws -> Checkpoint.FileInWork? {
        guard var file = inWork, file.list.length > 0 else { return nil }
        if file.entry.path.bytes.count > Entry.pathLimit { return nil }
        let (blobs, content) = file.list.finish()
        for blob in blobs { try await writer.store(blob) }
        file.entry.content = content
        // Maybe more than a page takes; going on asks for them anew.
        file.entry.attributes = []
        return Checkpoint.FileInWork(entry: file.entry, offset: file.list.length)
    }
}
