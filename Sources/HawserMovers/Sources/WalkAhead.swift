import HawserFormat
import HawserStorage
import Synchronization

/// Runs `body` with a source whose walk has begun, some thousand entries ahead: beside opening the repository, where
/// deriving the key takes one core and the others rest.
///
/// What was looked at so is at most a second older than the walk that the backup asks for; if that comes later, the walk
/// begins anew. Returns when the walk has ended, which a file server that does not answer delays.
/// - Throws: what `body` throws; errors of the walk come to whoever walks the source it gets.
public func withWalkAhead<Result>(
    of source: some BackupSource,
    _ body: (any BackupSource) async throws -> Result
) async throws -> Result {
    try await withWalkAhead(of: source, by: walkAheadLimit, body)
}

/// How old a walk may be that begins before its backup.
let walkAheadLimit = Duration.seconds(1)

func withWalkAhead<Result>(
    of source: some BackupSource,
    by limit: Duration,
    _ body: (any BackupSource) async throws -> Result
) async throws -> Result {
    let ahead = SourceAhead(source, limit)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await ahead.run() }
        defer { group.cancelAll() }
        return try await body(ahead)
    }
}

private final class SourceAhead<Source: BackupSource>: BackupSource {
    private let source: Source
    private let limit: Duration
    private let begin = ContinuousClock.now
    private let (batches, input) = AsyncStream<FoundBatch>.makeStream()
    /// Ends with the first walk; `batches` also ends when whoever takes them is cancelled.
    private let (end, atEnd) = AsyncStream<Never>.makeStream()
    private let budget = ByteBudget(total: 4 << 20)
    private let failure = Mutex<(any Error)?>(nil)
    private let isTaken = Atomic(false)
    private let isGivenUp = Atomic(false)

    init(_ source: Source, _ limit: Duration) {
        self.source = source
        self.limit = limit
    }

    var paths: [[UInt8]] { source.paths }
    var contentForm: ContentForm { source.contentForm }
    var isAllOrNothing: Bool { source.isAllOrNothing }
    var isReadOnce: Bool { source.isReadOnce }

    func run() async {
        defer {
            input.finish()
            atEnd.finish()
        }
        do {
            var batch = FoundBatch()
            try await withTaskExecutorPreference(BlockingExecutor.shared) {
                try await source.walk { item in
                    batch.append(item)
                    if batch.cost >= FoundBatch.most { try await send(&batch) }
                }
            }
            try await send(&batch)
        } catch {
            failure.withLock { $0 = error }
        }
    }

    private func send(_ batch: inout FoundBatch) async throws {
        try await budget.reserve(batch.cost)
        if isGivenUp.load(ordering: .sequentiallyConsistent) { throw CancellationError() }
        input.yield(batch)
        batch = FoundBatch()
    }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        defer { giveUp() }
        if !isTaken.exchange(true, ordering: .relaxed), .now - begin < limit {
            for await batch in batches {
                for item in batch.items { try await visit(item) }
                budget.release(batch.cost)
            }
            try Task.checkCancellation()
            if let error = failure.withLock({ $0 }) { throw error }
        } else {
            giveUp()
            // A source can't be walked twice at a time.
            for await _ in end {}
            try Task.checkCancellation()
            try await source.walk(visit)
        }
    }

    private func giveUp() {
        isGivenUp.store(true, ordering: .sequentiallyConsistent)
        // So that a walk that waits goes on, and finds out.
        budget.release(budget.used)
    }

    func complete(_ entry: Entry) async throws -> Entry { try await source.complete(entry) }
    func open(_ entry: Entry) async throws -> any SourceFile { try await source.open(entry) }
    func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int? {
        try await source.read(&entry, into: buffer)
    }
}
