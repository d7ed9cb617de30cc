import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// `ca.rotate`: announces a new authority.
public struct RotateAuthority: Codable, Sendable {
    public static let operation = "ca.rotate"
    /// For so many days tenants hear of it before it signs; at least 30.
    public var days: Int

    public init(days: Int) {
        self.days = days
    }
}

/// The answer to `ca.rotate` and `ca.show`.
public struct AuthorityStatus: Codable, Sendable {
    public static let operation = "ca.show"
    /// DER of the authorities that tenants trust, the one that signs now first.
    public var authorities: [Data]
    /// Whether somebody else makes the certificates, and renews their files.
    public var isGiven: Bool
    /// When the server's certificate ends. One of our own authority is renewed before.
    public var certificateEnds: Moment
    /// When the authority ends that the certificate comes from; once one of our own is announced, that one. Beside
    /// given certificates the earlier of the given one's end and our own's. None is renewed.
    public var authorityEnds: Moment
    /// When a running rotation takes its next step.
    public var nextStep: Moment?
}

/// All commands: those of the certificates here, the others on the database.
struct ServerCommands: AdminTransport {
    let certificates: CertificateKeeper
    let service: AdminService

    func perform(_ operation: String, _ body: Data) async throws -> Data {
        switch operation {
        case AuthorityStatus.operation:
            return try adminEncoder().encode(status)
        case RotateAuthority.operation:
            let days = try JSONDecoder().decode(RotateAuthority.self, from: body).days
            guard (0...3650).contains(days) else {
                throw HawserError(.invalidArgument, "A rotation takes at most 3650 days.")
            }
            try await certificates.rotate(overlap: .seconds(days * 86_400))
            try await service.database.note(
                "ca.rotate",
                subject: "authority",
                detail: "\(days) days",
                actor: service.actor
            )
            return try adminEncoder().encode(status)
        default:
            return try await service.perform(operation, body)
        }
    }

    private var status: AuthorityStatus {
        AuthorityStatus(
            authorities: certificates.authorities,
            isGiven: certificates.isGiven,
            certificateEnds: Moment(certificates.notAfter),
            authorityEnds: Moment(certificates.authorityEnds),
            nextStep: certificates.nextStep.map { Moment($0) }
        )
    }
}

extension Moment {
    init(_ date: Date) {
        self.init(milliseconds: Int64(date.timeIntervalSince1970 * 1000))
    }
}

extension ConfigurationDatabase {
    /// Makes the provider's authority and the server's certificate, as `hawser-provider init` does; where there are
    /// some, nothing.
    ///
    /// - Parameter domain: the server will be `control.<domain>`, for good.
    /// - Throws: `invalidArgument` for what is no domain, or another than that of certificates that were made or given.
    public func makeCertificates(domain: String) async throws {
        if let given = try await givenAuthorities(), given.domain != domain {
            throw HawserError(
                .invalidArgument,
                "The server's certificates were given for \(given.domain). An authority beside them is of that domain."
            )
        }
        _ = try await CertificateSource.book(CertificateStorage(self), domain: domain).load(now: Date())
    }

    /// The domain that certificates were made for; `nil` when there are none.
    public func certificateDomain() async throws -> String? {
        try await CertificateStorage(self).load()?.domain
    }

    /// Makes join strings with the authorities that the last server had; `nil` where there are none.
    public func joinStrings() async throws -> AdminService.JoinString? {
        if let given = try await givenAuthorities() { return joinStrings(domain: given.domain) { given.authorities } }
        guard let book = try await CertificateStorage(self).load() else { return nil }
        return joinStrings(domain: book.domain) { book.authorities }
    }

    func joinStrings(domain: String, authorities: @escaping @Sendable () -> [Data]) -> AdminService.JoinString {
        { [self] code, name, allowed in
            let gateways = try await gateways()
                .filter { $0.kind == .relay && (allowed.isEmpty || allowed.contains($0.name)) }
                .compactMap { GatewayAddress($0.address) }
            guard !gateways.isEmpty else {
                throw HawserError(
                    .notFound,
                    "Tenants need an address to dial: add a cloud gateway first (`hawser-provider gateway add`), or this "
                        + "server's own address as one."
                )
            }
            return try JoinString(
                domain: domain,
                gateways: gateways,
                tenant: name,
                authorities: authorities(),
                code: code
            ).text
        }
    }
}
