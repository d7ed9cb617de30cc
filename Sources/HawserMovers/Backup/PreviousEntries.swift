import HawserFormat
import HawserRepository

/// An entry as an earlier run left it.
struct PreviousEntry: Sendable {
    enum Progress: Sendable {
        case whole
        /// A checkpoint was written while the file was being read.
        case begun(ResumePoint)
    }

    var entry: Entry
    var progress: Progress
    /// When the run that saw the entry began.
    var snapshotStart: Timestamp
}

/// What earlier runs know, in the order of the walk: a checkpoint first, behind its end the parent snapshot.
struct PreviousEntries: Sendable {
    private var sources: [Source]
    /// Read ahead of the walk.
    private var waiting: PreviousEntry?

    private struct Source: Sendable {
        var start: Timestamp
        var entries: TreeEntries.AsyncIterator?
        /// Entries up to this path come from the source before.
        var after: EntryPath?
        var inWork: PreviousEntry?
    }

    init(checkpoint: Checkpoint?, parent: Snapshot?, in repository: Repository) async {
        sources = []
        if let checkpoint {
            var source = Source(start: checkpoint.started)
            if let prefix = checkpoint.prefix {
                source.entries = repository.entries(of: prefix.root).makeAsyncIterator()
            }
            source.inWork = await Self.fileInWork(checkpoint, repository)
            sources.append(source)
        }
        if let parent {
            var source = Source(start: parent.summary.started)
            source.entries = repository.entries(of: parent.root).makeAsyncIterator()
            source.after = checkpoint?.prefix?.lastPath
            sources.append(source)
        }
    }

    /// What can't be read of it only has to be read from the file again.
    private static func fileInWork(_ checkpoint: Checkpoint, _ repository: Repository) async -> PreviousEntry? {
        guard let file = checkpoint.fileInWork else { return nil }
        let entry = file.entry
        let reader = BlobReader(repository)
        var length: UInt64 = 0
        do {
            try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
                length += UInt64(extent.length)
            }
        } catch { return nil }
        guard length == file.offset else { return nil }
        return PreviousEntry(
            entry: entry,
            progress: .begun(ResumePoint(content: entry.content, offset: file.offset)),
            snapshotStart: checkpoint.started
        )
    }

    /// The entry at `path`, if an earlier run saw one. Paths must ascend.
    mutating func advance(to path: EntryPath) async throws -> PreviousEntry? {
        while true {
            if waiting == nil { waiting = try await next() }
            guard let candidate = waiting, candidate.entry.path <= path else { return nil }
            waiting = nil
            if candidate.entry.path == path { return candidate }
        }
    }

    private mutating func next() async throws -> PreviousEntry? {
        while !sources.isEmpty {
            do {
                while let entry = try await sources[0].entries?.next() {
                    if let after = sources[0].after, entry.path <= after { continue }
                    return PreviousEntry(entry: entry, progress: .whole, snapshotStart: sources[0].start)
                }
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                // A damaged parent only costs reading again what it knew.
            }
            let finished = sources.removeFirst()
            if let inWork = finished.inWork { return inWork }
        }
        return nil
    }
}
