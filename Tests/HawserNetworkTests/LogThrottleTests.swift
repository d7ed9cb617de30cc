import NIOCore
import Testing

@testable import HawserNetwork

struct LogThrottleTests {
    @Test func fewPassAndTheOthersAreCounted() {
        var throttle = LogThrottle<String>(burst: 2, every: .seconds(10))
        let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
        #expect(throttle.pass("a", now: begin) == 0)
        #expect(throttle.pass("a", now: begin) == 0)
        for _ in 0..<1000 { #expect(throttle.pass("a", now: begin + .seconds(9)) == nil) }
        // Kinds don't disturb each other.
        #expect(throttle.pass("b", now: begin + .seconds(9)) == 0)
        #expect(throttle.pass("a", now: begin + .seconds(10)) == 1000)
        #expect(throttle.pass("a", now: begin + .seconds(10)) == 0)
        #expect(throttle.pass("a", now: begin + .seconds(10)) == nil)
    }
}
