import HawserNetwork
import Testing

@testable import HawserProvider

@Suite struct RateLimiterTests {
    @Test func aBurstPassesAndTheRateHoldsThen() {
        let limiter = RateLimiter<String>(.init(perSecond: 10, burst: 3))
        let start = ContinuousClock.now
        #expect((0..<3).allSatisfy { _ in limiter.take("a", now: start) == nil })
        let wait = limiter.take("a", now: start)
        #expect(wait == .milliseconds(100))
        #expect(limiter.take("a", now: start + .milliseconds(99)) != nil)
        #expect(limiter.take("a", now: start + .milliseconds(100)) == nil)
        #expect(limiter.take("a", now: start + .milliseconds(100)) != nil)
    }

    @Test func whatCostsMoreHoldsUpTheNextOnes() {
        let limiter = RateLimiter<String>(.init(perSecond: 10, burst: 3))
        let start = ContinuousClock.now
        #expect(limiter.take("a", now: start) == nil)
        limiter.charge("a", 4.5, now: start)
        #expect(limiter.take("a", now: start) == .milliseconds(350))
        #expect(limiter.take("b", now: start) == nil)
        #expect(limiter.take("a", now: start + .milliseconds(350)) == nil)
    }

    @Test func keysDoNotTouchEachOther() {
        let limiter = RateLimiter<Int>(.init(perSecond: 1, burst: 1))
        let start = ContinuousClock.now
        #expect((0..<10_000).allSatisfy { limiter.take($0, now: start) == nil })
        #expect((0..<10_000).allSatisfy { limiter.take($0, now: start) != nil })
        // Swept in between: what is on time again may be forgotten.
        #expect((0..<10_000).allSatisfy { limiter.take($0, now: start + .seconds(2)) == nil })
    }
}
