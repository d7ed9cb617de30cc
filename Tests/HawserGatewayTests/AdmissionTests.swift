import HawserNetwork
import NIOCore
import Testing

@testable import HawserGateway

struct AdmissionTests {
    let begin = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    let client = IPAddress("192.0.2.1")!

    private func admission(
        connections: Int = 1000,
        perAddress: Int = 1000,
        perSecond: Int = 1000,
        burst: Int = 1000,
        exempt: String? = nil
    ) -> Admission {
        Admission(
            .init(
                connections: connections,
                connectionsPerAddress: perAddress,
                newPerSecondAndAddress: perSecond,
                burstPerAddress: burst,
                exempt: exempt.flatMap { AddressBlock($0) }.map { [$0] } ?? []
            )
        )
    }

    @Test func total() {
        var admission = admission(connections: 2)
        #expect(admission.enter(client, now: begin) == nil)
        #expect(admission.enter(IPAddress("192.0.2.2")!, now: begin) == nil)
        #expect(admission.enter(IPAddress("192.0.2.3")!, now: begin) == .total)
        admission.leave(client)
        #expect(admission.enter(IPAddress("192.0.2.3")!, now: begin) == nil)
        #expect(admission.open == 2)
    }

    @Test func perAddress() {
        var admission = admission(perAddress: 2)
        #expect(admission.enter(client, now: begin) == nil)
        #expect(admission.enter(client, now: begin) == nil)
        #expect(admission.enter(client, now: begin) == .address)
        #expect(admission.enter(IPAddress("192.0.2.2")!, now: begin) == nil)
        admission.leave(client)
        #expect(admission.enter(client, now: begin) == nil)
    }

    @Test func perNetworkOfIPv6() {
        var admission = admission(perAddress: 1)
        #expect(admission.enter(IPAddress("2001:db8:0:1::1")!, now: begin) == nil)
        #expect(admission.enter(IPAddress("2001:db8:0:1:ffff::2")!, now: begin) == .address)
        #expect(admission.enter(IPAddress("2001:db8:0:2::1")!, now: begin) == nil)
        admission.leave(IPAddress("2001:db8:0:1::1")!)
        #expect(admission.enter(IPAddress("2001:db8:0:1:ffff::2")!, now: begin) == nil)
    }

    @Test func rate() {
        var admission = admission(perSecond: 10, burst: 3)
        for _ in 0..<3 {
            #expect(admission.enter(client, now: begin) == nil)
            admission.leave(client)
        }
        #expect(admission.enter(client, now: begin) == .rate)
        #expect(admission.enter(client, now: begin + .milliseconds(99)) == .rate)
        #expect(admission.enter(client, now: begin + .milliseconds(100)) == nil)
        #expect(admission.enter(client, now: begin + .milliseconds(100)) == .rate)
        // Refused ones cost nothing: after a quiet time the whole allowance is there again.
        for _ in 0..<3 { #expect(admission.enter(client, now: begin + .seconds(1)) == nil) }
        #expect(admission.enter(client, now: begin + .seconds(1)) == .rate)
    }

    @Test func exemptHaveOnlyTheTotal() {
        var admission = admission(connections: 5, perAddress: 1, perSecond: 1, burst: 1, exempt: "192.0.2.0/24")
        for _ in 0..<5 { #expect(admission.enter(client, now: begin) == nil) }
        #expect(admission.enter(client, now: begin) == .total)
        for _ in 0..<5 { admission.leave(client) }
        #expect(admission.open == 0)
        #expect(admission.remembered == 0)
    }

    @Test func floodFromOneAddressHoldsNoMoreThanTheLimit() {
        var admission = admission(perAddress: 16, perSecond: 50, burst: 100)
        var admitted = 0
        // 100,000 attempts in 60 s; those let in stay.
        for attempt in 0..<100_000 {
            if admission.enter(client, now: begin + .microseconds(Int64(attempt) * 600)) == nil { admitted += 1 }
        }
        #expect(admitted == 16)
        #expect(admission.open == 16)
        #expect(admission.remembered == 1)
    }

    @Test func addressesAreForgotten() {
        var admission = admission(connections: .max, perSecond: 10, burst: 10)
        // 100,000 addresses in 10 s: 10,000 a second, each remembered for 0.1 s.
        var most = 0
        for number in 0..<100_000 as Range<UInt32> {
            let now = begin + .microseconds(Int64(number) * 100)
            let address = IPAddress.v4(number)
            #expect(admission.enter(address, now: now) == nil)
            admission.leave(address)
            most = max(most, admission.remembered)
        }
        #expect(most <= 2 * 1024)
    }
}
