import HawserNetwork
import NIOCore
import Testing

struct AddressTests {
    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true), ("::/0", "192.0.2.1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8:0:1::/64", "2001:db8:0:1:ffff::", true), ("2001:db8:0:1::/64", "2001:db8:0:2::", false),
        ("2001:db8::8000/113", "2001:db8::ffff", true), ("2001:db8::8000/113", "2001:db8::7fff", false),
        ("2001:db8::1/128", "2001:db8::1", true), ("192.0.2.0/24", "::ffff:192.0.2.9", true),
    ])
    func blockContains(block: String, address: String, isInside: Bool) throws {
        let block = try #require(AddressBlock(block))
        let inside = try #require(IPAddress(address))
        #expect(block.contains(inside) == isInside)
        #expect([block].contains(try SocketAddress(ipAddress: address, port: 1)) == isInside)
    }

    @Test(arguments: [
        "", "/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+4", "192.0.2.0/", "192.0.2.1/24", "2001:db8::/129",
        "2001:db8::1/64", "localhost/8", "192.0.2.0/24/8", "192.0.2", "fe80::1%lo/128", "192.0.2.1\u{0}/32", "1/8",
    ])
    func refusedBlocks(text: String) {
        #expect(AddressBlock(text) == nil)
    }

    @Test(arguments: ["192.0.2.1", "2001:db8::1", "::1"])
    func isWrittenAsItWasRead(text: String) {
        #expect(IPAddress(text)?.description == text)
    }

    @Test func mappedAddressIsTheOneItStandsFor() throws {
        let mapped = try SocketAddress(ipAddress: "::ffff:192.0.2.1", port: 7)
        #expect(IPAddress(mapped) == IPAddress("192.0.2.1"))
        #expect(try mapped.unmapped == SocketAddress(ipAddress: "192.0.2.1", port: 7))
        let other = try SocketAddress(ipAddress: "2001:db8::1", port: 7)
        #expect(other.unmapped == other)
        #expect(IPAddress(try SocketAddress(unixDomainSocketPath: "/tmp/x")) == nil)
    }

    @Test func subscriberOfIPv6IsItsNetwork() throws {
        let one = try #require(IPAddress("2001:db8:1:2:3::4"))
        #expect(one.subscriber == IPAddress("2001:db8:1:2::"))
        #expect(IPAddress("192.0.2.1")?.subscriber == IPAddress("192.0.2.1"))
    }
}
