public import HawserFormat
import Synchronization

/// How far a backup is.
public struct BackupProgress: Sendable {
    public var elapsed: Duration
    /// Entries that the walk has found, and the bytes of their files.
    public var filesFound: UInt64 = 0
    public var bytesFound: UInt64 = 0
    /// Whether the walk is over, so that what was found is all.
    public var walkIsDone = false
    /// Files and bytes that are done: read, or known to be unchanged.
    public var filesDone: UInt64 = 0
    public var bytesDone: UInt64 = 0
    public var bytesRead: UInt64 = 0
    public var currentPath: EntryPath?
    public var problems = 0
    /// The stage whose workers had the least rest so far.
    public var limitingStage: BackupStage?

    public init(elapsed: Duration) {
        self.elapsed = elapsed
    }

    /// Done bytes a second since the beginning.
    public var bytesPerSecond: Double {
        let seconds = elapsed / .seconds(1)
        return seconds > 0 ? Double(bytesDone) / seconds : 0
    }

    /// What is left at the present rate, once the walk is over.
    public var remaining: Duration? {
        guard walkIsDone, bytesPerSecond > 0 else { return nil }
        return .seconds(Double(bytesFound - min(bytesDone, bytesFound)) / bytesPerSecond)
    }
}

/// Files, directories or others of a backup, by what became of them.
public struct EntryCounts: Sendable, Equatable {
    public var new: UInt64 = 0
    public var changed: UInt64 = 0
    public var unmodified: UInt64 = 0

    public var total: UInt64 { new + changed + unmodified }
}

/// What the stages count; any of them may add at any time.
final class BackupProgressCounters: Sendable {
    struct State {
        var filesFound: UInt64 = 0
        var bytesFound: UInt64 = 0
        var filesDone: UInt64 = 0
        var bytesDone: UInt64 = 0
        var bytesRead: UInt64 = 0
        var newBytes: UInt64 = 0
        var newChunks: UInt64 = 0
        var walkIsDone = false
        var current: EntryPath?
        var files = EntryCounts()
        var directories = EntryCounts()
        var others = EntryCounts()
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now
    private let meters: BackupMeters

    init(meters: BackupMeters) {
        self.meters = meters
    }

    var current: State { state.withLock { $0 } }

    func reset() {
        state.withLock { $0 = State() }
    }

    func found(_ entry: Entry, known: Entry?, isRead: Bool, isNew: Bool) {
        let isSame = !isRead && known.map { $0.modified == entry.modified && $0.changed == entry.changed } ?? false
        let path: WritableKeyPath<EntryCounts, UInt64> =
            known == nil || isNew ? \.new : isSame ? \.unmodified : \.changed
        state.withLock { state in
            switch entry.kind {
            case .file:
                state.files[keyPath: path] += 1
                state.filesFound += 1
                state.bytesFound &+= entry.size
            case .directory: state.directories[keyPath: path] += 1
            default: state.others[keyPath: path] += 1
            }
        }
    }

    func begin(_ path: EntryPath) {
        state.withLock { $0.current = path }
    }

    func read(bytes: Int) {
        state.withLock { $0.bytesRead += UInt64(bytes) }
    }

    func new(bytes: Int) {
        state.withLock {
            $0.newBytes += UInt64(bytes)
            $0.newChunks += 1
        }
    }

    func finished(_ entry: Entry) {
        guard entry.kind == .file else { return }
        state.withLock {
            $0.filesDone += 1
            $0.bytesDone &+= entry.size
        }
    }

    func walkIsDone() {
        state.withLock { $0.walkIsDone = true }
    }

    func snapshot(problems: Int) -> BackupProgress {
        let state = current
        var progress = BackupProgress(elapsed: .now - start)
        progress.filesFound = state.filesFound
        progress.bytesFound = state.bytesFound
        progress.walkIsDone = state.walkIsDone
        progress.filesDone = state.filesDone
        progress.bytesDone = state.bytesDone
        progress.bytesRead = state.bytesRead
        progress.currentPath = state.current
        progress.problems = problems
        progress.limitingStage = meters.limiting
        return progress
    }
}

extension ContinuousClock.Instant {
    fileprivate static func - (left: Self, right: Self) -> Duration { right.duration(to: left) }
}

/// Something that could not be backed up or restored, or (`changed`) was backed up in parts of two states.
public struct Problem: Sendable {
    public var path: EntryPath
    public var error: HawserError
}

/// Problems as they come: handed to the caller at once, and the first ones kept.
final class ProblemLog: Sendable {
    private struct State {
        var count = 0
        var kept: [Problem] = []
        /// What was handed to the caller before the last `reset`.
        var told: Set<EntryPath> = []
    }

    private let state = Mutex(State())
    private let report: @Sendable (Problem) -> Void
    /// Enough to see what is wrong; a million unreadable files must not fill memory.
    private static let keptLimit = 1000

    init(_ report: @escaping @Sendable (Problem) -> Void) {
        self.report = report
    }

    func add(_ path: EntryPath, _ error: HawserError) {
        let problem = Problem(path: path, error: error)
        let isNew = state.withLock { state in
            state.count += 1
            if state.kept.count < Self.keptLimit { state.kept.append(problem) }
            return !state.told.contains(path)
        }
        if isNew { report(problem) }
    }

    /// Begins anew, and hands no path to the caller again that was kept before.
    func reset() {
        state.withLock { $0 = State(told: $0.told.union($0.kept.map(\.path))) }
    }

    var count: Int { state.withLock { $0.count } }
    var problems: [Problem] { state.withLock { $0.kept } }
}
