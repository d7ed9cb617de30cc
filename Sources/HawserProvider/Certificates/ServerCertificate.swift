import Crypto
import HawserFormat
import NIOCore
import NIOSSL
import SwiftASN1
@_spi(DisableValidityCheck) @_spi(FixedExpiryValidationTime) import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a server proves its name with.
struct ServerCertificate: Codable, Sendable {
    /// DER, the leaf first.
    let chain: [Data]
    /// PKCS #8, DER.
    fileprivate let key: Data
    let notAfter: Date
    /// DER of the authority that tenants pin.
    let authority: Data

    init(chain: [Data], key: Data, notAfter: Date, authority: Data) {
        self.chain = chain
        self.key = key
        self.notAfter = notAfter
        self.authority = authority
    }

    /// TLS 1.3 only, as all that speaks this protocol is of one age.
    func makeContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try chain.map { .certificate(try NIOSSLCertificate(bytes: Array($0), format: .der)) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key), format: .der))
        )
        // A client that does not answer the end of its connection holds a stop up for so long.
        configuration.shutdownTimeout = .seconds(2)
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Certificates of files in PEM that somebody else renews.
struct GivenCertificates {
    let server: ServerCertificate
    /// DER of the roots that tenants pin: two of them while one takes the other's place.
    let authorities: [Data]
    /// Of the root that the certificate comes from.
    let authorityEnds: Date

    // Each join string has them all, and at most 16 with those of our own authority.
    private static let mostRoots = 8

    /// What has ended, wherever in the chain, is an alarm and no reason to refuse: a server that does not start mends
    /// nothing.
    ///
    /// - Parameter name: the one that tenants check.
    /// - Throws: `invalidArgument` for what no tenant would accept at any time.
    init(certificate: [UInt8], key: [UInt8], authority: [UInt8], name: String, now: Date) async throws {
        let (chain, roots) = (try Self.certificates(certificate), try Self.certificates(authority))
        guard let leaf = chain.first, !roots.isEmpty else { throw Self.unreadable }
        guard roots.count <= Self.mostRoots else {
            throw HawserError(
                .invalidArgument,
                "There are \(roots.count) roots in --certificate-authority. At most \(Self.mostRoots) can be given."
            )
        }
        // BoringSSL, which is what tenants have, ends no chain in another certificate.
        for root in roots
        where root.issuer != root.subject || !root.publicKey.isValidSignature(root.signature, for: root) {
            throw HawserError(
                .invalidArgument,
                "A certificate in --certificate-authority is no root: it is not signed by itself. What lies between "
                    + "the root and the server's certificate belongs into --certificate.",
                place: "\(root.subject)"
            )
        }
        let validated = try await Self.validated(leaf, chain.dropFirst(), roots, name: name, now: now)
        server = ServerCertificate(
            chain: try chain.map { try $0.derBytes() },
            key: try Self.key(key),
            notAfter: validated.dropLast().map(\.notValidAfter).min() ?? leaf.notValidAfter,
            authority: try validated.root.derBytes()
        )
        authorities = try roots.map { try $0.derBytes() }
        authorityEnds = validated.root.notValidAfter
        do {
            _ = try server.makeContext()
        } catch {
            throw HawserError(
                .invalidArgument,
                "The key in --certificate-key is not that of the certificate in --certificate.",
                cause: error
            )
        }
    }

    /// The chain that is good now, or else the one that would be but for its time.
    private static func validated(
        _ leaf: Certificate,
        _ intermediates: some Sequence<Certificate>,
        _ roots: [Certificate],
        name: String,
        now: Date
    ) async throws -> X509.ValidatedCertificateChain {
        var failures: [CertificateValidationResult.PolicyFailure] = []
        for policy in [RFC5280Policy(fixedExpiryValidationTime: now), .withValidityCheckDisabled()] {
            var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
                policy
                ServerIdentityPolicy(serverHostname: name, serverIP: nil)
                ServerUsagePolicy()
            }
            switch await verifier.validate(leaf: leaf, intermediates: CertificateStore(intermediates)) {
            case .validCertificate(let chain): return chain
            case .couldNotValidate(let reasons): failures = reasons
            }
        }
        guard let failure = failures.first else {
            throw HawserError(
                .invalidArgument,
                "The chain in --certificate leads to no root in --certificate-authority: no tenant would accept it."
            )
        }
        throw HawserError(
            .invalidArgument,
            "No tenant would accept the certificate that was given for this name. Have it made anew.",
            place: name,
            cause: RefusedChain(description: "\(failure.policyFailureReason)")
        )
    }

    private static func certificates(_ pem: [UInt8]) throws -> [Certificate] {
        do {
            return try NIOSSLCertificate.fromPEMBytes(pem).map { try Certificate(derEncoded: try $0.toDERBytes()) }
        } catch {
            throw unreadable.caused(by: error)
        }
    }

    private static func key(_ pem: [UInt8]) throws -> Data {
        do {
            return Data(try NIOSSLPrivateKey(bytes: pem, format: .pem).derBytes)
        } catch {
            throw unreadable.caused(by: error)
        }
    }

    private static var unreadable: HawserError {
        HawserError(
            .invalidArgument,
            "What was given are no PEM files of a certificate, its key and its root. Check --certificate, "
                + "--certificate-key and --certificate-authority."
        )
    }
}

/// Why the verifier refused.
private struct RefusedChain: Error, CustomStringConvertible {
    let description: String
}

/// What the library's policies leave out and a tenant's TLS demands: the uses of keys (RFC 5280, 4.2.1.3 and 4.2.1.12).
private struct ServerUsagePolicy: VerifierPolicy {
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [.X509ExtensionID.extendedKeyUsage]

    func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
        do {
            guard try chain.leaf.extensions.keyUsage?.digitalSignature ?? true else {
                return .failsToMeetPolicy(reason: "Its key usage has no digital signatures.")
            }
            // Of the root the tenant's TLS looks at the key only.
            for certificate in chain.prefix(max(1, chain.count - 1)) {
                guard try certificate.extensions.extendedKeyUsage?.contains(.serverAuth) ?? true else {
                    return .failsToMeetPolicy(
                        reason: "The extended key usage of \(certificate.subject) has no servers."
                    )
                }
            }
            return .meetsPolicy
        } catch {
            let problem = "\(error)"
            return .failsToMeetPolicy(reason: "An extension can't be read: \(problem)")
        }
    }
}

extension HawserError {
    func caused(by cause: any Error) -> HawserError {
        var error = self
        error.cause = cause
        return error
    }
}
