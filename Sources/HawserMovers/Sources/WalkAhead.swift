import HawserFormat
import HawserStorage
import Synchronization

/// Runs `body` with a source whose walk has begun, some thousand entries ahead: beside what comes before a backup, such as opening
/// the repository, where deriving the key takes one core and the others rest.
///
/// What the walk has shown by then is as it was when the walk came by; what is read is read as it is then, as always.
/// - Parameter source: for this one backup, as always.
/// - Throws: what `body` throws; errors of the walk come to whoever walks the source it gets.
public func withWalkAhead<Result>(
    of source: some BackupSource,
    _ body: (any BackupSource) async throws -> Result
) async throws -> Result {
    let ahead = SourceAhead(source)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await ahead.run() }
        defer { group.cancelAll() }
        return try await body(ahead)
    }
}

private final class SourceAhead<Source: BackupSource>: BackupSource {
    private let source: Source
    private let (batches, input) = AsyncStream<FoundBatch>.makeStream()
    private let budget = ByteBudget(total: 4 << 20)
    private let failure = Mutex<(any Error)?>(nil)
    private let isTaken = Atomic(false)
    private let isGivenUp = Atomic(false)

    init(_ source: Source) {
        self.source = source
    }

    var paths: [[UInt8]] { source.paths }
    var contentForm: ContentForm { source.contentForm }
    var isAllOrNothing: Bool { source.isAllOrNothing }
    var isReadOnce: Bool { source.isReadOnce }

    func run() async {
        defer { input.finish() }
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
        if isGivenUp.load(ordering: .relaxed) { throw CancellationError() }
        input.yield(batch)
        batch = FoundBatch()
    }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        if isTaken.exchange(true, ordering: .relaxed) { return try await source.walk(visit) }
        do {
            for await batch in batches {
                for item in batch.items { try await visit(item) }
                budget.release(batch.cost)
            }
        } catch {
            // A source can't be walked twice at a time, and whoever failed may walk it again.
            isGivenUp.store(true, ordering: .relaxed)
            budget.release(budget.used)
            for await _ in batches {}
            throw error
        }
        try Task.checkCancellation()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    func complete(_ entry: Entry) async throws -> Entry { try await source.complete(entry) }
    func open(_ entry: Entry) async throws -> any SourceFile { try await source.open(entry) }
    func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int? {
        try await source.read(&entry, into: buffer)
    }
}
