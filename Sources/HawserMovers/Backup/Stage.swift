import Synchronization

/// The stages of a backup, in the order of the flow.
public enum BackupStage: String, Sendable, CaseIterable {
    case walk, read, hash, compress, encrypt, upload
}

/// The meters of one backup's stages.
struct BackupMeters: Sendable {
    /// The source's part of the walk: the merge behind it waits for it, or for the stages that follow.
    let walk = StageMeter(BackupStage.walk, width: 1)
    let read = StageMeter(BackupStage.read, width: 2)
    // As many as there are cores: these three compute.
    let hash = StageMeter(BackupStage.hash, width: Machine.cores)
    let compress = StageMeter(BackupStage.compress, width: Machine.cores)
    let encrypt = StageMeter(BackupStage.encrypt, width: Machine.cores)
    /// At work while the stages before it wait for it: packs that leave beside them cost no time.
    let upload = StageMeter(BackupStage.upload, width: 1)

    var limiting: BackupStage? {
        [walk, read, hash, compress, encrypt, upload].busiest()
    }
}

/// How long a stage's workers were at work, to find the one that limits the speed.
final class StageMeter<Stage: Sendable>: Sendable {
    let stage: Stage
    /// The most workers at a time.
    let width: Int
    private let nanoseconds = Atomic<Int64>(0)

    init(_ stage: Stage, width: Int) {
        self.stage = stage
        self.width = width
    }

    func measure<Result>(_ work: () async throws -> Result) async rethrows -> Result {
        let start = ContinuousClock.now
        defer { add(since: start) }
        return try await work()
    }

    func add(since start: ContinuousClock.Instant) {
        let time = ContinuousClock.now - start
        nanoseconds.wrappingAdd(
            time.components.seconds * 1_000_000_000 + time.components.attoseconds / 1_000_000_000,
            ordering: .relaxed
        )
    }

    /// Of one worker's time, in seconds.
    var busySeconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 / Double(width) }
}

extension Array {
    /// The stage whose workers had the least rest so far; `nil` when none has worked.
    func busiest<Stage>() -> Stage? where Element == StageMeter<Stage> {
        let busiest = self.max { $0.busySeconds < $1.busySeconds }
        return busiest.flatMap { $0.busySeconds > 0 ? $0.stage : nil }
    }
}

/// One stage: a single task iterates over `input` and hands elements to at most `meter.width` child tasks.
///
/// - Parameter measured: false when the work also waits, and so measures its busy parts itself.
///
/// The order of the results is not that of the input: whoever needs it restores it. The stream between two stages has
/// no bound of its own; what flows is bounded by the job's byte budget.
func runStage<Input: Sendable>(
    _ meter: StageMeter<some Sendable>,
    over input: AsyncStream<Input>,
    on executor: (any TaskExecutor)? = nil,
    measured: Bool = true,
    _ work: @escaping @Sendable (Input) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        var running = 0
        for await element in input {
            if running >= meter.width {
                try await group.next()
                running -= 1
            }
            group.addTask(executorPreference: executor) {
                if measured {
                    try await meter.measure { try await work(element) }
                } else {
                    try await work(element)
                }
            }
            running += 1
        }
        try await group.waitForAll()
    }
    // A cancelled stream ends like a finished one.
    try Task.checkCancellation()
}
