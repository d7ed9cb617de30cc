import Crypto
import HawserFormat
import NIOCore
import NIOSSL
import X509

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

    func authorityEnds() throws -> Date {
        let root = try NIOSSLCertificate(bytes: Array(authority), format: .der)
        return Date(timeIntervalSince1970: TimeInterval(root.notValidAfter))
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

extension ServerCertificate {
    /// Of files in PEM that somebody else renews.
    ///
    /// - Parameter authority: the root that tenants pin.
    static func given(certificate: [UInt8], key: [UInt8], authority: [UInt8]) throws -> ServerCertificate {
        let unusable = HawserError(
            .invalidArgument,
            "The certificate and key that were given are no PEM files that belong together. Check tls.certificate, "
                + "tls.key and tls.authority."
        )
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(certificate)
            let roots = try NIOSSLCertificate.fromPEMBytes(authority)
            guard let leaf = chain.first, let root = roots.first else { throw unusable }
            let made = ServerCertificate(
                chain: try chain.map { Data(try $0.toDERBytes()) },
                key: Data(try NIOSSLPrivateKey(bytes: key, format: .pem).derBytes),
                notAfter: Date(timeIntervalSince1970: TimeInterval(leaf.notValidAfter)),
                authority: Data(try root.toDERBytes())
            )
            // Finds a key that belongs to another certificate.
            _ = try made.makeContext()
            return made
        } catch {
            throw unusable.caused(by: error)
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
