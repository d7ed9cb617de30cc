import HawserFormat
import NIOSSL
import SwiftASN1
import Testing
import X509

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct CertificateBookTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)
    private let day: TimeInterval = 86_400

    @Test func aLeafIsGoodForItsNameAndForNinetyDays() throws {
        let book = try CertificateBook(domain: "example.org", now: start)
        let server = try #require(book.servers["control.example.org"])
        let leaf = try Certificate(derEncoded: Array(server.chain[0]))
        #expect(leaf.notValidBefore == start - 2 * day)
        #expect(leaf.notValidAfter == start + 90 * day)
        #expect(try leaf.extensions.subjectAlternativeNames?.map(\.self) == [.dnsName("control.example.org")])
        #expect(try leaf.extensions.extendedKeyUsage?.contains(.serverAuth) == true)
        let root = try Certificate(derEncoded: Array(book.authorities[0]))
        #expect(root.publicKey.isValidSignature(leaf.signature, for: leaf))
        #expect(leaf.issuer == root.subject)
        #expect(try root.extensions.basicConstraints == .isCertificateAuthority(maxPathLength: 0))
        _ = try server.makeContext()
    }

    @Test func aLeafIsRenewedThirtyDaysBeforeItsEnd() throws {
        var book = try CertificateBook(domain: "example.org", now: start)
        let first = try #require(book.servers["control.example.org"])
        #expect(try book.tend(now: start + 59 * day).isEmpty)
        #expect(book.servers["control.example.org"]?.chain == first.chain)
        let events = try book.tend(now: start + 60 * day)
        #expect(events == [.init(kind: .renewed, name: "control.example.org")])
        #expect(book.servers["control.example.org"]?.notAfter == start + 150 * day)
        #expect(try book.tend(now: start + 60 * day).isEmpty)
    }

    @Test func anAuthorityIsAnnouncedThenSwitchedThenRetired() throws {
        var book = try CertificateBook(domain: "example.org", now: start)
        try book.add("gateway1.example.org", now: start)
        let old = book.authorities[0]
        try book.rotate(overlap: 30 * day, now: start)
        #expect(book.authorities.count == 2)
        #expect(book.authorities[0] == old)
        let new = book.authorities[1]
        #expect(try book.tend(now: start + 29 * day).isEmpty)

        let switched = try book.tend(now: start + 30 * day)
        #expect(switched.map(\.kind) == [.switched, .renewed, .renewed])
        #expect(book.authorities == [new, old])
        #expect(book.servers.values.allSatisfy { $0.authority == new })

        #expect(try book.tend(now: start + 59 * day).isEmpty)
        #expect(try book.tend(now: start + 60 * day).map(\.kind) == [.retired])
        #expect(book.authorities == [new])
    }

    @Test func whatMattersIsTheEndOfTheAuthorityThatIsAnnounced() throws {
        var book = try CertificateBook(domain: "example.org", now: start)
        #expect(book.authorityEnds == start + 3650 * day)
        try book.rotate(overlap: 30 * day, now: start + 3500 * day)
        #expect(book.authorityEnds == start + 7150 * day)
    }

    @Test func aRotationThatIsTooShortOrSecondIsRefused() throws {
        var book = try CertificateBook(domain: "example.org", now: start)
        let tooShort = #expect(throws: HawserError.self) { try book.rotate(overlap: 29 * day, now: start) }
        #expect(tooShort?.code == .invalidArgument)
        try book.rotate(overlap: 30 * day, now: start)
        let second = #expect(throws: HawserError.self) { try book.rotate(overlap: 30 * day, now: start) }
        #expect(second?.code == .conflict)
    }

    @Test func aServerThatSleptThroughARotationCatchesUp() throws {
        var book = try CertificateBook(domain: "example.org", now: start)
        try book.rotate(overlap: 30 * day, now: start)
        let events = try book.tend(now: start + 400 * day)
        // The old authority stays trusted for the whole overlap after the switch.
        #expect(events.map(\.kind) == [.switched, .renewed])
        #expect(book.authorities.count == 2)
    }
}
