import Crypto
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The provider's authorities and the certificates that they have signed. A pure value: what `CertificateKeeper` keeps.
///
/// Rotation of the authority: *announced* (tenants learn the new one with each sign-in, over a connection that the old one
/// vouches for) for `overlap`, then *switched* (the new one signs, the old one stays trusted) for another `overlap`, then
/// the old one is *retired*. A tenant that did not sign in during the first of these times needs a new join string.
struct CertificateBook: Codable, Sendable {
    struct Event: Equatable {
        enum Kind: String {
            case announced, switched, retired, renewed
        }

        let kind: Kind
        /// Of the server, for a renewal.
        var name: String?
    }

    private struct Next: Codable {
        let authority: CertificateAuthority
        let switchAt: Date
    }

    private struct Previous: Codable {
        let authority: CertificateAuthority
        let retireAt: Date
    }

    static let shortestOverlap: TimeInterval = 30 * 86_400
    // A third of the lifetime of 90 days: time to notice that renewing fails.
    private static let renewal: TimeInterval = 30 * 86_400

    let domain: String
    private var current: CertificateAuthority
    private var next: Next?
    private var previous: Previous?
    private var overlap: TimeInterval
    /// By host name.
    private(set) var servers: [String: ServerCertificate] = [:]

    init(domain: String, now: Date) throws {
        self.domain = domain
        current = try CertificateAuthority(domain: domain, now: now)
        overlap = Self.shortestOverlap
        try add("control.\(domain)", now: now)
    }

    /// DER of all authorities that tenants shall trust, the one that signs now first.
    var authorities: [Data] {
        [current.certificate] + [next?.authority.certificate, previous?.authority.certificate].compactMap(\.self)
    }

    /// When the authority ends that signs, or the one that is announced.
    var authorityEnds: Date { (next?.authority ?? current).notAfter }

    /// `nil` while no rotation runs.
    var nextChange: Date? { next?.switchAt ?? previous?.retireAt }

    /// Another server of this provider, as `gateway1.DOMAIN`; known names stay as they are.
    mutating func add(_ name: String, now: Date) throws {
        guard servers[name] == nil else { return }
        servers[name] = try current.issue(name: name, now: now)
    }

    /// For a key that another server keeps.
    func issue(name: String, publicKey: P256.Signing.PublicKey, now: Date) throws -> (leaf: Data, end: Date) {
        try current.issue(name: name, publicKey: publicKey, now: now)
    }

    /// - Parameter overlap: seconds; for so long both authorities are known, before and after the switch.
    mutating func rotate(overlap: TimeInterval, now: Date) throws {
        guard overlap >= Self.shortestOverlap else {
            throw HawserError(
                .invalidArgument,
                "Tenants need at least 30 days to learn of a new authority. Choose a longer overlap."
            )
        }
        guard next == nil, previous == nil else {
            throw HawserError(
                .conflict,
                "A rotation of the authority is running. The next one can begin when the old authority is retired."
            )
        }
        next = Next(authority: try CertificateAuthority(domain: domain, now: now), switchAt: now + overlap)
        self.overlap = overlap
    }

    /// Does what is due, and says what that was.
    mutating func tend(now: Date) throws -> [Event] {
        var events: [Event] = []
        if let due = next, due.switchAt <= now {
            previous = Previous(authority: current, retireAt: now + overlap)
            current = due.authority
            next = nil
            events.append(Event(kind: .switched))
        }
        if let due = previous, due.retireAt <= now {
            previous = nil
            events.append(Event(kind: .retired))
        }
        for (name, server) in servers.sorted(by: { $0.key < $1.key })
        where server.authority != current.certificate
            // At the authority's own end there is nothing to win.
            || (server.notAfter - Self.renewal <= now && server.notAfter < current.notAfter)
        {
            servers[name] = try current.issue(name: name, now: now)
            events.append(Event(kind: .renewed, name: name))
        }
        return events
    }
}
