import HawserFormat
import HawserRepository
import HawserStorage

/// The walk: merges what the source shows with what the parent snapshot has, in the order of both, and decides which
/// files have to be read. The source is asked on one thread, its entries are merged on another.
struct WalkStage: Sendable {
    let source: any BackupSource
    let options: BackupOptions
    let writer: RepositoryWriter
    let reader: BlobReader
    /// Bounds how far the walk is ahead of the oldest unfinished file.
    let ahead: ByteBudget
    let progress: BackupProgressCounters
    let problems: ProblemLog
    let meter: StageMeter<BackupStage>
    let output: AsyncStream<WalkBatch>.Continuation

    /// At most 4,096 entries or 8 MiB of entries may be ahead.
    static let aheadLimit = 8 << 20
    private static let smallestCharge = aheadLimit / 4096
    /// More entries a batch only make it uneven: this many cost about what reading 1 MiB does.
    private static let batchEntries = 256

    static func charge(for entry: Entry) -> Int {
        let attributes = entry.attributes.reduce(0) { $0 + $1.value.count }
        return max(smallestCharge, min(aheadLimit, 256 + entry.path.bytes.count + attributes))
    }

    func run(previous: PreviousEntries) async throws {
        let (found, input) = AsyncStream<FoundBatch>.makeStream()
        let budget = ByteBudget(total: FoundBatch.limit)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { input.finish() }
                try await find(budget, input)
            }
            group.addTask { try await merge(found, budget, previous) }
            // The first failure ends the other side, which may wait for it.
            for try await _ in group {}
        }
    }

    private func find(_ budget: ByteBudget, _ output: AsyncStream<FoundBatch>.Continuation) async throws {
        var batch = FoundBatch()
        var atWork = ContinuousClock.now
        func send() async throws {
            meter.add(since: atWork)
            try await budget.reserve(batch.cost)
            output.yield(batch)
            batch = FoundBatch()
            atWork = .now
        }
        do {
            try await source.walk { item in
                batch.append(item)
                if batch.cost >= FoundBatch.most { try await send() }
            }
        } catch let error as HawserError {
            throw error.ofSource
        }
        try await send()
    }

    private func merge(
        _ found: AsyncStream<FoundBatch>,
        _ budget: ByteBudget,
        _ start: PreviousEntries
    ) async throws {
        var previous = start
        var batch = WalkBatch(items: [], number: 0)
        var bytes: UInt64 = 0
        var held = 0
        func send(_ batch: inout WalkBatch) {
            if batch.items.isEmpty { return }
            output.yield(batch)
            batch = WalkBatch(items: [], number: batch.number + 1)
            bytes = 0
            held = 0
        }
        for await part in found {
            budget.release(part.cost)
            for item in part.items {
                guard case .entry(let entry) = item else {
                    if case .problem(let path, let error) = item { problems.add(path, error) }
                    continue
                }
                let known = try await previous.advance(to: entry.path)
                guard let (decided, isNew) = try await decide(entry, known) else { continue }
                var item = decided
                progress.found(item.entry, known: known?.entry, isRead: item.isRead, isNew: isNew)
                // Reading adds to the entry, so that the charge can't be computed again when it is given back.
                item.charge = Self.charge(for: item.entry)
                // Whoever waits for entries ahead must have sent them on.
                if held + item.charge > Self.aheadLimit / 4 { send(&batch) }
                try await ahead.reserve(item.charge)
                held += item.charge
                let size = item.isRead ? item.entry.size : 0
                if size > UInt64(ReadBufferPool.smallCapacity / 2) || bytes + size > ReadBufferPool.smallCapacity {
                    send(&batch)
                }
                batch.items.append(item)
                bytes += size
                if batch.items.count >= Self.batchEntries || size > UInt64(ReadBufferPool.smallCapacity / 2) {
                    send(&batch)
                }
            }
        }
        // A cancelled stream ends like a finished one.
        try Task.checkCancellation()
        send(&batch)
    }

    /// - Returns: `nil` when the entry has to be left out; the problem is told.
    private func decide(_ found: Entry, _ known: PreviousEntry?) async throws -> (WalkItem, isNew: Bool)? {
        guard let known, known.entry.kind == found.kind, isUnchanged(found, known) else {
            return try await fresh(found).map { ($0, known == nil) }
        }
        if case .whole = known.progress, try await !references(known.entry) {
            return try await fresh(found).map { ($0, false) }
        }
        var entry = found
        if hasOldChangeTime(found, known) {
            // The attributes and the link's target are the same too.
            entry.attributes = known.entry.attributes
            entry.attributeBlob = known.entry.attributeBlob
            entry.linkTarget = known.entry.linkTarget
            entry.inodeFlags = known.entry.inodeFlags
        } else if case .whole = known.progress {
            // What is read anew brings its own.
            guard let completed = try await completed(found) else { return nil }
            entry = completed
        }
        entry.unknownFields = known.entry.unknownFields
        switch known.progress {
        case .begun(let resume):
            let isThere = try await references(resume.content)
            return (WalkItem(entry: entry, content: .reading(resume: isThere ? resume : nil)), false)
        case .whole:
            entry.content = known.entry.content
            return (WalkItem(entry: entry, content: .nothing), false)
        }
    }

    private func fresh(_ found: Entry) async throws -> WalkItem? {
        if found.kind == .file { return WalkItem(entry: found, content: .reading(resume: nil)) }
        return try await completed(found).map { WalkItem(entry: $0, content: .nothing) }
    }

    /// - Returns: `nil` when the entry has to be left out; the problem is told.
    private func completed(_ found: Entry) async throws -> Entry? {
        do {
            return try await source.complete(found)
        } catch let error as HawserError {
            if source.isAllOrNothing { throw error.ofSource }
            problems.add(found.path, error)
            guard found.kind == .directory else { return nil }
            // It stays for what is in it; the mark has the next backup ask again for what is missing now.
            var entry = found
            entry.changedWhileRead = true
            return entry
        }
    }

    /// Seconds: two are the coarsest clock of a file system that is in use (FAT), one a walk may be older than its backup.
    private static let coarsestClock: Int64 = 2 + walkAheadLimit.components.seconds

    private func isUnchanged(_ entry: Entry, _ known: PreviousEntry) -> Bool {
        let old = known.entry
        if options.force || old.changedWhileRead || entry.size != old.size || entry.modified != old.modified {
            return false
        }
        if !options.ignoresInode, entry.inode != old.inode { return false }
        return options.ignoresChangeTime || hasOldChangeTime(entry, known)
    }

    private func hasOldChangeTime(_ entry: Entry, _ known: PreviousEntry) -> Bool {
        entry.changed == known.entry.changed
            && entry.changed
                < Timestamp(
                    seconds: known.snapshotStart.seconds - Self.coarsestClock,
                    nanoseconds: known.snapshotStart.nanoseconds
                )
    }

    /// Whether everything that the entry's content consists of is stored; notes the packs that have it.
    private func references(_ entry: Entry) async throws -> Bool {
        if let blob = entry.attributeBlob, !writer.reference(blob) { return false }
        if entry.content == nil, entry.kind == .file, entry.size > 0 { return false }
        return try await references(entry.content)
    }

    private func references(_ content: Content?) async throws -> Bool {
        switch content {
        case nil, .inline: return true
        case .extents(let extents): return extents.allSatisfy(references)
        case .list(let root, let height):
            return try await writer.referenceContentList(root, height: height, reader: reader)
        }
    }

    private func references(_ extent: Extent) -> Bool {
        if case .data(let id, _) = extent { return writer.reference(id) }
        return true
    }
}

/// What the source has shown, on the way to the merge.
struct FoundBatch: Sendable {
    var items: [SourceItem] = []
    var cost = 0

    /// Bytes of all batches underway; an entry costs 256 and its path. Eight batches of ordinary ones.
    static let limit = 256 << 10
    static let most = limit / 8

    mutating func append(_ item: SourceItem) {
        items.append(item)
        let path =
            switch item {
            case .entry(let entry): entry.path
            case .problem(let path, _): path
            }
        cost = min(Self.limit, cost + 256 + path.bytes.count)
    }
}
