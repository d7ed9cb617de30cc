import HawserFormat
import HawserTesting
import Testing

@testable import HawserControl

@Suite("The state machine of the quota")
struct QuotaMachineTests {
    private typealias Machine = QuotaMonitor.StateMachine

    private static let unit = 1 << 20
    private let session = ControlID.random()
    private let data = TestObject(.dataPack, length: 1, seed: 1).key
    private let metadata = TestObject(.metadataPack, length: 1, seed: 2).key

    /// With a quota of so many MiB that nobody uses yet.
    private func machine(limit: Int? = nil) -> Machine {
        var machine = Machine(settings: .init())
        machine.update(session: session, quota: quota(limit), isReturnAsked: false)
        return machine
    }

    private func quota(_ limit: Int?, reserved: Int = 0) -> QuotaState {
        QuotaState(limit: limit.map { $0 * Self.unit }, used: 0, reserved: reserved)
    }

    private func ask(_ machine: inout Machine, now: Duration = .zero) throws -> Machine.Ask {
        guard case .lease(let ask)? = machine.next(now: now) else {
            throw HawserError(.internalError, "something else is to be sent")
        }
        return ask
    }

    private func grant(_ machine: inout Machine, _ ask: Machine.Ask, extra: Int = 0, life: Int = 900) -> Machine.Served
    {
        let answer = LeaseAnswer(
            lease: ask.request.lease,
            bytes: ask.request.bytes + extra,
            expiresIn: life,
            quota: quota(nil)
        )
        return machine.granted(answer, to: ask, now: ask.sent)
    }

    private func outcome(_ outcome: Machine.Outcome) -> String {
        switch outcome {
        case .granted: "granted"
        case .wait: "wait"
        case .refused(let error): "\(error.code)"
        }
    }

    private func reserve(_ machine: inout Machine, _ mebibytes: Int, _ key: ObjectKey, _ id: UInt64) -> String {
        outcome(machine.reserve(mebibytes * Self.unit, for: key, id: id, now: .zero))
    }

    @Test("asks for nothing before there is a session, then ahead of need, one request at a time")
    func ahead() throws {
        var machine = Machine(settings: .init())
        #expect(machine.next(now: .zero) == nil)
        machine.update(session: session, quota: nil, isReturnAsked: false)
        let ask = try ask(&machine)
        #expect(ask.isAhead && ask.request.bytes == 96 * Self.unit)
        #expect(machine.next(now: .zero) == nil)
        _ = grant(&machine, ask)
        #expect(machine.next(now: .zero) == nil)
        // From half of the last lease on the next is asked for, while there is still room.
        #expect(reserve(&machine, 16, data, 1) == "granted")
        #expect(machine.next(now: .zero) == nil)
        #expect(reserve(&machine, 1, data, 2) == "granted")
        _ = try self.ask(&machine)
    }

    @Test("gives back what it has while somebody else reserves, and leases again afterwards")
    func leasing() throws {
        var machine = machine()
        let first = try ask(&machine)
        _ = grant(&machine, first)
        machine.setLeasing(false)
        let back = try ask(&machine)
        #expect(back.request.bytes == 0 && back.request.lease == nil)
        #expect(back.request.settled == [LeaseSettlement(lease: try #require(first.request.lease), used: 0)])
        _ = machine.granted(
            LeaseAnswer(lease: nil, bytes: 0, expiresIn: 0, quota: quota(nil)),
            to: back,
            now: .zero
        )
        #expect(machine.next(now: .zero) == nil)
        machine.note(ObjectRecord(key: data.path, length: 5))
        #expect(machine.records.map(\.length) == [5])
        machine.setLeasing(true)
        _ = machine.takeRecords()
        #expect(try ask(&machine).request.bytes > 0)
    }

    @Test("asks for what the present speed needs")
    func rate() throws {
        var machine = machine()
        _ = grant(&machine, try ask(&machine), extra: 20_000 * Self.unit)
        for id in 1...200 as ClosedRange<UInt64> {
            #expect(machine.reserve(50 * Self.unit, for: data, id: id, now: .seconds(Double(id))).isGranted)
            machine.end(id, isStored: true, now: .seconds(Double(id)))
        }
        // The records go first.
        guard case .commit(let records) = machine.next(now: .seconds(200)) else {
            Issue.record("nothing to report")
            return
        }
        #expect(records.count == 200)
        machine.committed(quota(nil))
        let ask = try ask(&machine, now: .seconds(200))
        #expect((45 * Self.unit...55 * Self.unit).contains(ask.request.rate))
        #expect(ask.request.bytes > 10 * 45 * Self.unit)
    }

    @Test("keeps a reserve for metadata, which grows with what is stored")
    func closingReserve() throws {
        var machine = machine()
        _ = grant(&machine, try ask(&machine))
        #expect(machine.closingReserve == 32 * Self.unit)
        #expect(reserve(&machine, 64, data, 1) == "granted")
        #expect(reserve(&machine, 1, data, 2) == "wait")
        #expect(reserve(&machine, 32, metadata, 3) == "granted")
        #expect(reserve(&machine, 1, metadata, 4) == "wait")
        machine.end(1, isStored: true, now: .zero)
        machine.end(3, isStored: true, now: .zero)
        guard case .commit = machine.next(now: .zero) else {
            Issue.record("nothing to report")
            return
        }
        machine.committed(quota(nil))
        let served = grant(&machine, try ask(&machine))
        // Metadata goes first.
        #expect(served.granted == [4, 2])
        for id in 5...104 as ClosedRange<UInt64> {
            _ = machine.reserve(32 * Self.unit, for: data, id: id, now: .zero)
            machine.end(id, isStored: true, now: .zero)
            if case .lease(let ask)? = machine.next(now: .zero) { _ = grant(&machine, ask, extra: 1000 * Self.unit) }
            machine.committed(quota(nil))
        }
        #expect(machine.closingReserve > 32 * Self.unit)
    }

    @Test("near the limit asks for what is needed only, and says what is missing once, without asking again")
    func exceeded() throws {
        var machine = machine(limit: 40)
        let first = try ask(&machine)
        _ = machine.refused(first, now: .zero)
        // Nothing is needed now, so nothing is asked for.
        #expect(machine.next(now: .zero) == nil)
        #expect(reserve(&machine, 5, data, 1) == "wait")
        let second = try ask(&machine)
        #expect(!second.isAhead && second.request.bytes == 37 * Self.unit)
        #expect(grant(&machine, second).granted == [1])
        #expect(reserve(&machine, 5, data, 2) == "wait")
        #expect(reserve(&machine, 4, data, 3) == "wait")
        #expect(reserve(&machine, 9, data, 4) == "wait")
        let third = try ask(&machine)
        #expect(third.request.bytes == 5 * Self.unit)
        machine.update(session: session, quota: quota(40, reserved: 37 * Self.unit), isReturnAsked: false)
        let served = machine.refused(third, now: .zero)
        #expect(served.failed.map(\.id) == [2, 4])
        let error = try #require(served.failed.first?.error)
        #expect(error.code == .quotaExceeded && !error.isRetryable)
        #expect(
            error.cause as? QuotaShortage
                == QuotaShortage(asked: 5 * Self.unit, free: 3 * Self.unit, limit: 40 * Self.unit)
        )
        // The smaller one is tried.
        _ = machine.refused(try ask(&machine), now: .zero)
        for id in 10...50 as ClosedRange<UInt64> { #expect(reserve(&machine, 5, data, id) == "quota_exceeded") }
        #expect(machine.next(now: .zero) == nil)
        // Metadata has its reserve.
        #expect(reserve(&machine, 30, metadata, 60) == "granted")
        // More room: worth asking again.
        machine.update(session: session, quota: quota(80, reserved: 37 * Self.unit), isReturnAsked: false)
        #expect(reserve(&machine, 5, data, 61) == "wait")
        _ = try ask(&machine)
    }

    @Test("settles each lease with exactly what was stored on it")
    func settlement() throws {
        var machine = machine()
        let first = try ask(&machine)
        _ = grant(&machine, first)
        #expect(reserve(&machine, 60, data, 1) == "granted")
        #expect(reserve(&machine, 4, data, 2) == "granted")
        let second = try ask(&machine)
        _ = grant(&machine, second)
        // Over the end of the first and the beginning of the second.
        #expect(reserve(&machine, 50, data, 3) == "granted")
        machine.end(1, isStored: true, now: .zero)
        machine.end(2, isStored: false, now: .zero)
        machine.end(3, isStored: true, now: .zero)
        #expect(machine.records.count == 2)
        let last = machine.farewell()
        let farewell = try #require(last)
        #expect(farewell.lease == nil && farewell.bytes == 0)
        let used = Dictionary(uniqueKeysWithValues: farewell.settled.map { ($0.lease, $0.used / Self.unit) })
        let firstID = try #require(first.request.lease)
        let secondID = try #require(second.request.lease)
        #expect((used[firstID] ?? 0) + (used[secondID] ?? 0) == 110)
        #expect((used[firstID] ?? 0) <= 96)
        #expect(machine.farewell() == nil)
    }

    @Test("gives back what it does not need when it is asked to")
    func returning() throws {
        var machine = machine()
        let first = try ask(&machine)
        _ = grant(&machine, first, extra: 1000 * Self.unit)
        #expect(reserve(&machine, 10, data, 1) == "granted")
        machine.update(session: session, quota: nil, isReturnAsked: true)
        let exchange = try ask(&machine)
        #expect(exchange.request.bytes == 32 * Self.unit && exchange.request.rate == 0)
        // Something is still on its way on the old one.
        #expect(exchange.request.settled.isEmpty)
        _ = grant(&machine, exchange)
        // Nothing is taken ahead again.
        #expect(machine.next(now: .zero) == nil)
        machine.end(1, isStored: true, now: .zero)
        #expect(machine.next(now: .seconds(59)) == nil)
        guard case .commit = machine.next(now: .seconds(60)) else {
            Issue.record("nothing to report")
            return
        }
        machine.committed(quota(nil))
        let next = try ask(&machine, now: .seconds(60))
        #expect(
            next.request.settled == [LeaseSettlement(lease: try #require(first.request.lease), used: 10 * Self.unit)]
        )
    }

    @Test("replaces leases before they end, uses them until then, and not after")
    func expiry() throws {
        var machine = machine()
        _ = grant(&machine, try ask(&machine), extra: 1000 * Self.unit, life: 900)
        #expect(machine.next(now: .seconds(599)) == nil)
        let next = try ask(&machine, now: .seconds(600))
        // The provider is away: on with what there is.
        #expect(outcome(machine.reserve(100 * Self.unit, for: data, id: 1, now: .seconds(899))) == "granted")
        #expect(outcome(machine.reserve(Self.unit, for: data, id: 2, now: .seconds(900))) == "wait")
        machine.notSent(.lease(next))
        #expect(try ask(&machine, now: .seconds(901)).request.bytes >= 33 * Self.unit)
    }

    @Test("forgets the leases of a session that is over, and keeps what is to be reported")
    func sessionOver() throws {
        var machine = machine()
        let first = try ask(&machine)
        _ = grant(&machine, first)
        #expect(reserve(&machine, 10, data, 1) == "granted")
        machine.update(session: .random(), quota: nil, isReturnAsked: false)
        #expect(machine.leases.isEmpty)
        machine.end(1, isStored: true, now: .zero)
        #expect(machine.records.count == 1)
        guard case .commit = machine.next(now: .zero) else {
            Issue.record("nothing to report")
            return
        }
        machine.committed(quota(nil))
        let next = try ask(&machine)
        #expect(next.request.settled.isEmpty && next.request.lease != first.request.lease)
    }

    @Test("keeps what could not be sent, and fails all who wait when there can be no more")
    func failures() throws {
        var machine = machine()
        let first = try ask(&machine)
        machine.notSent(.lease(first))
        #expect(reserve(&machine, 10, data, 1) == "wait")
        machine.cancel(1)
        #expect(reserve(&machine, 10, data, 2) == "wait")
        let served = machine.failed(HawserError(.revoked, ""))
        #expect(served.failed.map(\.id) == [2])
        #expect(reserve(&machine, 10, data, 3) == "revoked")
        #expect(machine.next(now: .zero) == nil)
    }

    @Test("is not upset by numbers that can't be")
    func hostileNumbers() throws {
        for bytes in [Int.max, 0, -1, Int.min] {
            for life in [Int.max, 0, -1, Int.min] {
                var machine = machine()
                for _ in 0..<3 {
                    guard case .lease(let ask)? = machine.next(now: .zero) else { break }
                    let quota = QuotaState(limit: .min, used: .max, reserved: .max)
                    let answer = LeaseAnswer(lease: nil, bytes: bytes, expiresIn: life, quota: quota)
                    _ = machine.granted(answer, to: ask, now: .zero)
                    #expect(quota.free == 0)
                }
                _ = reserve(&machine, 1, data, 1)
            }
        }
    }
}

extension QuotaMonitor.StateMachine.Outcome {
    fileprivate var isGranted: Bool {
        if case .granted = self { return true }
        return false
    }
}
