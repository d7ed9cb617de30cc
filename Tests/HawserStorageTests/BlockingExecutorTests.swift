import Foundation
import HawserTesting
import Testing

@testable import HawserStorage

/// Blocks threads until that many have come: impossible on a pool with fewer.
private final class Barrier: @unchecked Sendable {
    // The condition guards the count.
    private let condition = NSCondition()
    private let count: Int
    private var arrived = 0

    init(_ count: Int) {
        self.count = count
    }

    func wait() {
        condition.lock()
        arrived += 1
        condition.broadcast()
        while arrived < count { condition.wait() }
        condition.unlock()
    }
}

@Suite("The blocking executor")
struct BlockingExecutorTests {
    @Test("runs as many blocking calls at one time as it has threads")
    func parallel() async throws {
        try await BlockingExecutor.withThreads(24) { executor in
            #expect(executor.threadCount == 24)
            let barrier = Barrier(24)
            await withTaskGroup { group in
                for _ in 0..<24 { group.addTask { await executor.run { barrier.wait() } } }
            }
        }
    }

    @Test("carries the code of a scope")
    func preference() async throws {
        try await BlockingExecutor.withThreads(16) { executor in
            let barrier = Barrier(16)
            await withTaskGroup { group in
                for _ in 0..<16 {
                    group.addTask(executorPreference: executor) { barrier.wait() }
                }
            }
            await withTaskExecutorPreference(executor) { await Task.yield() }
        }
    }

    @Test("gives results and errors back, also to an actor")
    @MainActor
    func results() async throws {
        let number = await BlockingExecutor.shared.run { 7 }
        #expect(number == 7)
        await #expect(throws: POSIXError.self) {
            try await BlockingExecutor.shared.run { throw POSIXError(.EIO) }
        }
        #expect(try await BlockingExecutor.shared.runAbandonable { _ in 8 } == 8)
        await #expect(throws: POSIXError.self) {
            try await BlockingExecutor.shared.runAbandonable { _ in throw POSIXError(.EIO) }
        }
        #expect(BlockingExecutor.shared.threadCount >= 8)
    }

    @Test("does not hold an actor while its call blocks")
    func leavesActor() async throws {
        actor Caller {
            func call(_ gate: Gate, _ barrier: Barrier) async {
                await BlockingExecutor.shared.run {
                    gate.open()
                    barrier.wait()
                }
            }

            func answer(_ barrier: Barrier) { barrier.wait() }
        }
        let caller = Caller()
        let gate = Gate()
        let barrier = Barrier(2)
        let call = Task { await caller.call(gate, barrier) }
        try await gate.pass()
        // The call waits on its thread for this one, which needs the actor.
        await caller.answer(barrier)
        await call.value
    }

    @Test("lets a cancelled caller go while its call is stuck")
    func abandoned() async throws {
        let stuck = Barrier(2)
        let gate = Gate()
        let wasAsked = Flag()
        try await BlockingExecutor.withThreads(1) { executor in
            let call = Task {
                try await executor.runAbandonable { abandonment in
                    gate.open()
                    stuck.wait()
                    #expect(abandonment.isRequested)
                    #expect(throws: CancellationError.self) { try abandonment.check() }
                    wasAsked.raise()
                }
            }
            try await gate.pass()
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            // A call that waits for the thread and is cancelled never begins.
            let queued = Task { try await executor.runAbandonable { _ in Issue.record("A dropped call ran.") } }
            queued.cancel()
            await #expect(throws: CancellationError.self) { try await queued.value }
            stuck.wait()
        }
        #expect(wasAsked.isRaised)
    }

    @Test("ends its threads when its scope fails")
    func failingScope() async throws {
        await #expect(throws: POSIXError.self) {
            try await BlockingExecutor.withThreads(2) { _ in throw POSIXError(.EIO) }
        }
    }
}
