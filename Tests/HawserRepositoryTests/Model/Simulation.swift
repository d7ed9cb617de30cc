import Foundation
import HawserFormat
import HawserTesting
import Synchronization

/// Runs tasks on one thread, and whenever several could go on, a seeded generator says which: so each seed is another
/// interleaving. Its clock jumps to the next event when nobody can go on.
///
/// (Names of objects are hashes of random bytes, so a seed repeats what is done and by whom, not every order.)
final class Simulation: TaskExecutor {
    private struct Timer {
        var time: Int64
        var number: Int
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var timers: [Timer] = []
        var timerCount = 0
        var now: Int64 = 1_800_000_000
        var generator: SplitMix64
        var isOver = false
    }

    private let state: Mutex<State>
    private let wakeUp = DispatchSemaphore(value: 0)

    init(seed: UInt64) {
        state = Mutex(State(generator: SplitMix64(seed: seed)))
    }

    var now: Timestamp { Timestamp(seconds: state.withLock { $0.now }) }

    /// Evenly distributed.
    func random(_ range: Range<Int>) -> Int { state.withLock { Int.random(in: range, using: &$0.generator) } }
    func chance(_ percent: Double) -> Bool { state.withLock { $0.generator.nextUnit() * 100 < percent } }

    func sleep(_ seconds: Int64) async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.timerCount += 1
                state.timers.append(
                    Timer(time: state.now + seconds, number: state.timerCount, continuation: continuation)
                )
            }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        wakeUp.signal()
    }

    struct Stuck: Error {}

    /// Runs `body` and all tasks that it starts.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let thread = Thread { self.drain() }
        thread.start()
        defer {
            state.withLock { $0.isOver = true }
            wakeUp.signal()
        }
        try await Task(executorPreference: self) { try await body() }.value
    }

    private func drain() {
        while true {
            let job: UnownedJob? = state.withLock { state in
                guard !state.jobs.isEmpty else { return nil }
                return state.jobs.remove(at: Int.random(in: state.jobs.indices, using: &state.generator))
            }
            if let job {
                job.runSynchronously(on: asUnownedTaskExecutor())
                continue
            }
            let (timer, isOver) = state.withLock { state -> (Timer?, Bool) in
                guard
                    let next = state.timers.indices.min(by: {
                        (state.timers[$0].time, state.timers[$0].number) < (
                            state.timers[$1].time, state.timers[$1].number
                        )
                    })
                else { return (nil, state.isOver) }
                let timer = state.timers.remove(at: next)
                state.now = max(state.now, timer.time)
                return (timer, state.isOver)
            }
            if let timer {
                timer.continuation.resume()
            } else if isOver {
                return
            } else {
                wakeUp.wait()
            }
        }
    }
}
