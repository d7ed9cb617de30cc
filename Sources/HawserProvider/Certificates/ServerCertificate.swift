import Crypto
import HawserFormat
import NIOCore
import NIOSSL
import SwiftASN1
@_spi(FixedExpiryValidationTime) import X509

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
    /// Of the root that lasts longest.
    let authorityEnds: Date

    /// - Parameter name: the one that tenants check.
    /// - Throws: `invalidArgument` for what no tenant would accept, unless it is for its time: what has ended is an alarm.
    init(certificate: [UInt8], key: [UInt8], authority: [UInt8], name: String, now: Date) async throws {
        let chain: [Certificate]
        let roots: [Certificate]
        do {
            chain = try Self.certificates(certificate)
            roots = try Self.certificates(authority)
            guard let leaf = chain.first, let root = roots.first, roots.count <= 8 else { throw Self.unusable }
            server = ServerCertificate(
                chain: try chain.map { try $0.derBytes() },
                key: Data(try NIOSSLPrivateKey(bytes: key, format: .pem).derBytes),
                notAfter: leaf.notValidAfter,
                authority: try root.derBytes()
            )
            authorities = try roots.map { try $0.derBytes() }
            authorityEnds = roots.map(\.notValidAfter).max() ?? root.notValidAfter
            // Finds a key that belongs to another certificate.
            _ = try server.makeContext()
        } catch {
            throw Self.unusable.caused(by: error)
        }
        let time = min(max(now, chain[0].notValidBefore), chain[0].notValidAfter)
        var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
            RFC5280Policy(fixedExpiryValidationTime: time)
            ServerIdentityPolicy(serverHostname: name, serverIP: nil)
        }
        let intermediates = CertificateStore(chain.dropFirst())
        guard case .validCertificate = await verifier.validate(leaf: chain[0], intermediates: intermediates) else {
            throw HawserError(
                .invalidArgument,
                "No tenant would accept the certificate that was given: it must be for this name, and its chain in "
                    + "--certificate must lead to a root in --certificate-authority.",
                place: name
            )
        }
    }

    private static func certificates(_ pem: [UInt8]) throws -> [Certificate] {
        try NIOSSLCertificate.fromPEMBytes(pem).map { try Certificate(derEncoded: try $0.toDERBytes()) }
    }

    private static var unusable: HawserError {
        HawserError(
            .invalidArgument,
            "What was given are no PEM files of a certificate, its key and its root. Check --certificate, "
                + "--certificate-key and --certificate-authority."
        )
    }
}

extension HawserError {
    func caused(by cause: any Error) -> HawserError {
        var error = self
        error.cause = cause
        return error
    }
}
