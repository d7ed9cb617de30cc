public import HawserFormat
public import HawserRepository
import HawserStorage
import HawserTransfer
import Synchronization

/// What is restored of a snapshot, and how.
public struct RestoreRequest: Sendable {
    public var snapshot: Snapshot
    /// Restores what is below this directory, as if it were the root.
    public var subtree: EntryPath = .root
    /// Empty: everything.
    public var include = PathPatternList()
    public var exclude = PathPatternList()
    /// The directory to restore below, created when it is missing.
    public var target: [UInt8]
    public var options = RestoreOptions()
    /// Reads everything back afterwards and compares it with the snapshot.
    public var verifies = false
    /// Bytes: the most memory that the process should need, files in the page cache apart; at least 96 MiB.
    public var memory = 128 << 20

    public init(_ snapshot: Snapshot, target: [UInt8]) {
        self.snapshot = snapshot
        self.target = target
    }
}

public struct RestoreSummary: Sendable {
    public var filesRestored: UInt64 = 0
    public var filesKept: UInt64 = 0
    public var filesDeleted: UInt64 = 0
    public var otherEntries: UInt64 = 0
    public var bytesRestored: UInt64 = 0
    public var filesVerified: UInt64 = 0
    public var duration = Duration.zero
    /// The first thousand entries that were not restored, or differ; `problemCount` counts all.
    public var problems: [Problem] = []
    public var problemCount = 0
    public var warnings: [RestoreWarning] = []
    public var limitingStage: RestoreStage?
}

/// The stages of a restore: going through the tree with all that has no content, fetching chunks, and opening and
/// writing them.
public enum RestoreStage: String, Sendable, CaseIterable {
    case plan, fetch, write
}

public struct RestoreProgress: Sendable {
    public var elapsed: Duration
    public var filesRestored: UInt64
    public var bytesRestored: UInt64
    /// In the whole snapshot, when it is known.
    public var bytesTotal: UInt64?
    public var problems: Int
    /// The stage whose workers had the least rest so far.
    public var limitingStage: RestoreStage?

    /// Restored bytes a second since the beginning.
    public var bytesPerSecond: Double {
        let seconds = elapsed / .seconds(1)
        return seconds > 0 ? Double(bytesRestored) / seconds : 0
    }
}

/// Owns one restore: plans by pack, reads ranges of packs, opens chunks on all cores, and writes files out of order.
///
/// What is damaged costs only the files that need it: they are reported, and everything else is restored.
public actor RestoreMover {
    private let repository: Repository
    private let request: RestoreRequest
    private let counters = RestoreCounters()
    private let problems: ProblemLog
    private let meters: RestoreMeters
    private let start = ContinuousClock.now

    /// - Parameter report: called at once for everything that can't be restored.
    public init(
        _ repository: Repository,
        _ request: RestoreRequest,
        report: @escaping @Sendable (Problem) -> Void = { _ in }
    ) {
        self.repository = repository
        self.request = request
        meters = RestoreMeters(fetchWidth: repository.target.access.parallelFetches)
        problems = ProblemLog(report)
    }

    public nonisolated var progress: RestoreProgress {
        let counted = counters.current
        let whole = request.include.isEmpty && request.exclude.isEmpty && request.subtree.isRoot
        return RestoreProgress(
            elapsed: .now - start,
            filesRestored: counted.files,
            bytesRestored: counted.bytes,
            bytesTotal: whole ? request.snapshot.summary.bytes : nil,
            problems: problems.count,
            limitingStage: meters.limiting
        )
    }

    /// - Throws: `notFound` when the snapshot has nothing of what is wanted, `storageFull`, and errors of the target
    ///   directory itself. Everything else is a problem in the summary.
    public func run() async throws -> RestoreSummary {
        try await requireSubtree()
        let log = problems
        let tree = try RestoreTree(target: request.target, options: request.options) { log.add($0, $1) }
        let plan = RestorePlanner(
            repository: repository,
            request: request,
            tree: tree,
            counters: counters,
            problems: problems,
            meters: meters
        )
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try await plan.run()
            if request.verifies, !request.options.dryRun { try await plan.verify() }
        }
        let counted = counters.current
        var summary = RestoreSummary()
        summary.filesRestored = counted.files
        summary.filesKept = counted.kept
        summary.filesDeleted = counted.deleted
        summary.otherEntries = counted.others
        summary.bytesRestored = counted.bytes
        summary.filesVerified = counted.verified
        summary.duration = .now - start
        summary.problems = problems.problems
        summary.problemCount = problems.count
        summary.warnings = tree.warnings
        summary.limitingStage = meters.limiting
        return summary
    }

    /// Before anything is made.
    private func requireSubtree() async throws {
        if request.subtree.isRoot { return }
        let entries = repository.entries(of: request.snapshot.root, in: PathScope(subtrees: [request.subtree]))
        do {
            if try await entries.first(where: { _ in true }) != nil { return }
        } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
            // The restore names what can't be read.
            return
        }
        throw HawserError(.notFound, "The snapshot does not have this path.", place: request.subtree.description)
    }
}

struct RestoreMeters: Sendable {
    let plan = StageMeter(RestoreStage.plan, width: 1)
    let fetch: StageMeter<RestoreStage>
    let write = StageMeter(RestoreStage.write, width: Machine.cores)

    init(fetchWidth: Int) {
        fetch = StageMeter(.fetch, width: fetchWidth)
    }

    var limiting: RestoreStage? { [plan, fetch, write].busiest() }
}

final class RestoreCounters: Sendable {
    struct State {
        var files: UInt64 = 0
        var kept: UInt64 = 0
        var deleted: UInt64 = 0
        var others: UInt64 = 0
        var bytes: UInt64 = 0
        var verified: UInt64 = 0
    }

    private let state = Mutex(State())

    var current: State { state.withLock { $0 } }

    func add(_ change: (inout State) -> Void) {
        state.withLock { change(&$0) }
    }

    func count(_ action: RestoreAction, of entry: Entry) {
        add { state in
            switch (action, entry.kind) {
            case (.kept, _), (.updated, .file): state.kept += 1
            case (.deleted, _): state.deleted += 1
            case (_, .file): state.files += 1
            default: state.others += 1
            }
        }
    }
}
