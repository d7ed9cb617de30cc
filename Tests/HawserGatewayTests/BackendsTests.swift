import HawserTesting
import NIOCore
import Testing

@testable import HawserGateway

struct BackendsTests {
    let one = BackendAddress("10.0.0.1:1")!
    let two = BackendAddress("10.0.0.2:1")!
    var backends: Backends
    var generator = SplitMix64(seed: 1)
    let begin = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    init() {
        backends = Backends([one, two])
    }

    private mutating func pick(_ tried: [BackendAddress] = [], at time: TimeAmount = .zero) -> BackendAddress? {
        backends.pick(from: [one, two], tried: tried, now: begin + time, using: &generator)
    }

    @Test mutating func leastLoadedGoesFirst() {
        for _ in 0..<10 { _ = pick() }
        #expect(backends.health[one]?.load == 5)
        #expect(backends.health[two]?.load == 5)
        for _ in 0..<3 { backends.released(one) }
        #expect(pick() == one)
        #expect(pick() == one)
    }

    @Test mutating func triedOnesAreLeftOut() {
        #expect(pick([one]) == two)
        #expect(pick([one, two]) == nil)
    }

    @Test mutating func failingOneIsSetAsideForLongerAndLonger() {
        #expect(pick([two]) == one)
        let isNews = backends.failed(one, now: begin)
        #expect(isNews)
        for _ in 0..<5 { #expect(pick(at: .milliseconds(999)) == two) }
        // One connection finds out whether it is back; the others don't wait with it.
        #expect(pick(at: .seconds(1)) == one)
        #expect(pick(at: .seconds(1)) == two)
        let isNewsAgain = backends.failed(one, now: begin + .seconds(2))
        #expect(!isNewsAgain)
        #expect(pick(at: .milliseconds(3999)) == two)
        #expect(pick(at: .seconds(4)) == one)
        let wasAside = backends.succeeded(one)
        #expect(wasAside)
        #expect(pick(at: .seconds(4)) == one)
        let wasAsideAgain = backends.succeeded(one)
        #expect(!wasAsideAgain)
    }

    @Test mutating func whenAllAreAsideTheFirstToComeBackIsTried() {
        _ = pick([two])
        _ = backends.failed(one, now: begin)
        _ = pick([one])
        _ = backends.failed(two, now: begin + .milliseconds(500))
        #expect(pick(at: .milliseconds(600)) == one)
    }

    @Test func pauses() {
        #expect(Backends.pause(after: 1) == .seconds(1))
        #expect(Backends.pause(after: 4) == .seconds(8))
        #expect(Backends.pause(after: 7) == .seconds(60))
        #expect(Backends.pause(after: .max) == .seconds(60))
    }

    @Test mutating func replacedRoutesKeepWhatIsKnown() {
        _ = pick([two])
        _ = pick([one])
        let three = BackendAddress("10.0.0.3:1")!
        backends.replace(with: [one, three])
        #expect(backends.health[one]?.load == 1)
        #expect(backends.health[three] == .init())
        #expect(backends.health[two] == nil)
        // Of connections that were relayed to it.
        backends.released(two)
        let known = backends.succeeded(two) || backends.failed(two, now: begin)
        #expect(!known)
        backends.replace(with: [one, two, three])
        backends.released(two)
        #expect(backends.health[two]?.load == 0)
    }
}
