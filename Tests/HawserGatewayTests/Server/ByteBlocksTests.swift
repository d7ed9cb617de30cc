import HawserControl
import HawserFormat
import Synchronization
import Testing

@testable import HawserGateway

@Suite("Bytes that a mover may store")
struct ByteBlocksTests {
    /// The provider's server: gives blocks of 100 bytes, or what is asked for, of a limit.
    private final class Ledger: Sendable {
        struct State {
            var limit: Int
            var open: [ControlID: Int] = [:]
            var used = 0
            var requests = 0
            var expiresIn = 900
        }

        let state: Mutex<State>

        init(limit: Int, expiresIn: Int = 900) {
            state = Mutex(State(limit: limit, expiresIn: expiresIn))
        }

        var used: Int { state.withLock { $0.used } }
        var reserved: Int { state.withLock { $0.open.values.reduce(0, +) } }
        var requests: Int { state.withLock { $0.requests } }

        func lease(_ request: LeaseRequest) throws -> LeaseAnswer {
            try state.withLock { state in
                state.requests += 1
                for settlement in request.settled where state.open.removeValue(forKey: settlement.lease) != nil {
                    state.used += settlement.used
                }
                let free = state.limit - state.used - state.open.values.reduce(0, +)
                guard request.bytes <= free else { throw HawserError(.quotaExceeded, "Full.") }
                let bytes = request.bytes == 0 ? 0 : min(max(request.bytes, 100), free)
                if let lease = request.lease { state.open[lease] = bytes }
                return LeaseAnswer(
                    lease: request.lease,
                    bytes: bytes,
                    expiresIn: state.expiresIn,
                    quota: QuotaState(limit: state.limit, used: state.used, reserved: 0)
                )
            }
        }

        var blocks: ByteBlocks { ByteBlocks { [self] in try lease($0) } }
    }

    @Test("One block serves many objects, and what is left of it comes back")
    func oneBlock() async throws {
        let ledger = Ledger(limit: 1000)
        let blocks = ledger.blocks
        for _ in 0..<9 {
            let lease = try await blocks.take(10)
            await blocks.finish(lease, 10, isStored: true)
        }
        #expect(ledger.requests == 1)
        let failed = try await blocks.take(10)
        await blocks.finish(failed, 10, isStored: false)
        #expect(ledger.reserved == 100)
        await blocks.giveBack()
        #expect(ledger.reserved == 0)
        #expect(ledger.used == 90)
    }

    @Test("The limit is reached to the byte; what runs then may come to less, so trying again can help")
    func limit() async throws {
        let ledger = Ledger(limit: 150)
        let blocks = ledger.blocks
        let first = try await blocks.take(60)
        let second = try await blocks.take(45)
        let waiting = await #expect(throws: HawserError.self) { try await blocks.take(60) }
        #expect(waiting?.code == .quotaExceeded && waiting?.isRetryable == true)
        await blocks.finish(first, 60, isStored: true)
        await blocks.finish(second, 45, isStored: false)
        let last = try await blocks.take(90)
        await blocks.finish(last, 90, isStored: true)
        let full = await #expect(throws: HawserError.self) { try await blocks.take(1) }
        #expect(full?.code == .quotaExceeded && full?.isRetryable == false)
        #expect(ledger.used == 150)
    }

    @Test("A block whose lease ends soon is not used any more, and is settled when its uploads have ended")
    func ending() async throws {
        let ledger = Ledger(limit: 1000, expiresIn: 60)
        let blocks = ledger.blocks
        let first = try await blocks.take(10)
        let second = try await blocks.take(10)
        #expect(first != second)
        await blocks.giveBack(onlyEnding: true)
        #expect(ledger.reserved == 200)
        await blocks.finish(first, 10, isStored: true)
        await blocks.finish(second, 10, isStored: true)
        #expect(ledger.reserved == 0)
        #expect(ledger.used == 20)
    }
}
