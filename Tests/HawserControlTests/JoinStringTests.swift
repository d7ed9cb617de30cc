import Foundation
import HawserFormat
import HawserTesting
import Testing

@testable import HawserControl

@Suite("Join strings")
struct JoinStringTests {
    static let join = JoinString(
        domain: "backup.example.com",
        gateways: [GatewayAddress("gw1.example.com:6180"), GatewayAddress("[2001:db8::1]:443")].compactMap(\.self),
        tenant: "Muster & Söhne",
        authorities: [Data(repeating: 0x30, count: 400), Data([1, 2, 3])],
        code: "c0de-c0de"
    )

    private func code(_ text: String) -> HawserError.Code? {
        do {
            _ = try JoinString(parsing: text)
            return nil
        } catch {
            return (error as? HawserError)?.code
        }
    }

    /// Of any JSON, with its checksum.
    private func text(_ json: String) throws -> String {
        let whole = try Self.join.text
        #expect(whole.hasPrefix("hawser-join:"))
        let bytes = Data(json.utf8)
        let name = ObjectName(sha256Of: [UInt8](bytes))
        return "hawser-join:" + Base64URL.text(bytes + name.bytes.prefix(4))
    }

    @Test("come back as they were made, with blanks around them or without")
    func roundTrip() throws {
        let text = try Self.join.text
        #expect(try JoinString(parsing: text) == Self.join)
        #expect(try JoinString(parsing: "  \n" + text + "\r\n") == Self.join)
        #expect(text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        #expect(!"\(Self.join)".contains("c0de"))
    }

    @Test("with any byte changed, missing or added are refused, and said to be damaged")
    func damage() throws {
        let text = try Self.join.text
        let prefix = "hawser-join:".count
        for index in prefix..<text.count {
            var changed = Array(text)
            changed[index] = changed[index] == "A" ? "B" : "A"
            #expect(code(String(changed)) == .damaged, "changed at \(index)")
            changed.remove(at: index)
            #expect(code(String(changed)) == .damaged, "removed at \(index)")
            #expect(code(String(text.prefix(index))) == .damaged, "cut at \(index)")
        }
        for index in 0..<prefix { #expect(code(String(text.prefix(index))) == .invalidArgument) }
        #expect(code(text + "A") == .damaged)
        #expect(code(text + "=") == .damaged)
        #expect(code(text.prefix(40) + "\n" + text.dropFirst(40)) == .damaged)
        #expect(code("hawser-join:" + String(repeating: "A", count: 70_000)) == .invalidArgument)
    }

    @Test("that are whole but senseless are told apart from damaged ones")
    func content() throws {
        let good = #""domain":"d.example","gateways":["g:1"],"tenant":"t","authorities":["MAo="],"code":"c"}"#
        #expect(code(try text("{\"v\":1," + good)) == nil)
        #expect(code(try text("{\"v\":1,\"later\":true," + good)) == nil)
        #expect(code(try text("{\"v\":2," + good)) == .unsupported)
        let bad = [
            "", "null", "[]", "{}", "{\"v\":1}", "{\"v\":\"1\"," + good,
            "{\"v\":1," + good.replacing("d.example", with: "d..example"),
            "{\"v\":1," + good.replacing("d.example", with: "d.example/x"),
            "{\"v\":1," + good.replacing("\"g:1\"", with: ""), "{\"v\":1," + good.replacing("g:1", with: "g:0"),
            "{\"v\":1," + good.replacing("g:1", with: "g:65536"), "{\"v\":1," + good.replacing("g:1", with: "g:+1"),
            "{\"v\":1," + good.replacing("\"t\"", with: "\"\""), "{\"v\":1," + good.replacing("\"MAo=\"", with: ""),
            "{\"v\":1," + good.replacing("MAo=", with: "?"), "{\"v\":1," + good.replacing("\"c\"", with: "\"\""),
        ]
        for json in bad { #expect(code(try text(json)) == (json.isEmpty ? .damaged : .invalidArgument), "\(json)") }
    }

    @Test("are not made of what they can't hold")
    func encoding() {
        for change in [
            { $0.gateways = [] }, { $0.authorities = [] }, { $0.tenant = "" }, { $0.code = "" }, { $0.domain = "a b" },
        ] as [(inout JoinString) -> Void] {
            var join = Self.join
            change(&join)
            #expect(throws: HawserError.self) { try join.text }
        }
    }

    @Test(
        "name gateways by name or address",
        arguments: [
            ("gw.example.com", "gw.example.com", 6180), ("gw:1", "gw", 1), ("127.0.0.1:65535", "127.0.0.1", 65535),
            ("[::1]:7", "::1", 7), ("[::1]", "::1", 6180),
        ]
    )
    func addresses(text: String, host: String, port: Int) throws {
        let address = try #require(GatewayAddress(text))
        #expect(address.host == host && address.port == port)
        #expect(GatewayAddress(address.description) == address)
    }

    @Test(
        "refuse what is no address",
        arguments: [
            "", ":1", "a:", "a:0", "a:70000", "a:1:2", "::1", "[::1", "[a]:1", "[]:1", "a b", "-a:1", "a_b:1", "a:１",
        ]
    )
    func wrongAddresses(text: String) {
        #expect(GatewayAddress(text) == nil)
    }
}
