import Crypto
import HawserFormat
import SwiftASN1
import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What signs the certificates of the provider's servers, and what tenants pin.
struct CertificateAuthority: Codable, Sendable {
    // Clocks of tenants may be wrong by so much in their past.
    private static let backdating: TimeInterval = 48 * 3600
    private static let lifetime: TimeInterval = 10 * 365 * 86_400
    private static let leafLifetime: TimeInterval = 90 * 86_400

    /// DER.
    let certificate: Data
    /// PKCS #8, DER.
    private let key: Data
    let notAfter: Date

    init(domain: String, now: Date) throws {
        let privateKey = P256.Signing.PrivateKey()
        let name = try DistinguishedName {
            OrganizationName("Hawser")
            // Two authorities of one provider must not have one name, or chains can't be told apart.
            CommonName("\(domain) \(NameSuffix.random())")
        }
        let publicKey = Certificate.PublicKey(privateKey.publicKey)
        let end = now + Self.lifetime
        let certificate = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: publicKey,
            notValidBefore: now - Self.backdating,
            notValidAfter: end,
            issuer: name,
            subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: publicKey)
            },
            issuerPrivateKey: Certificate.PrivateKey(privateKey)
        )
        self.certificate = try certificate.derBytes()
        key = privateKey.derRepresentation
        notAfter = end
    }

    /// - Parameter name: the one host name that the certificate is good for.
    func issue(name: String, now: Date) throws -> ServerCertificate {
        let privateKey = P256.Signing.PrivateKey()
        let (leaf, end) = try issue(name: name, publicKey: privateKey.publicKey, now: now)
        return ServerCertificate(
            chain: [leaf],
            key: privateKey.derRepresentation,
            notAfter: end,
            authority: certificate
        )
    }

    /// For a key that another server keeps.
    ///
    /// - Returns: the certificate (DER), and when it ends.
    func issue(name: String, publicKey: P256.Signing.PublicKey, now: Date) throws -> (leaf: Data, end: Date) {
        let authority = try Certificate(derEncoded: Array(certificate))
        let authorityKey = Certificate.PrivateKey(try P256.Signing.PrivateKey(derRepresentation: key))
        let publicKey = Certificate.PublicKey(publicKey)
        let end = min(now + Self.leafLifetime, notAfter)
        let leaf = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: publicKey,
            notValidBefore: now - Self.backdating,
            notValidAfter: end,
            issuer: authority.subject,
            subject: try DistinguishedName { CommonName(name) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames([.dnsName(name)])
                SubjectKeyIdentifier(hash: publicKey)
                AuthorityKeyIdentifier(
                    keyIdentifier: try authority.extensions.subjectKeyIdentifier?.keyIdentifier
                )
            },
            issuerPrivateKey: authorityKey
        )
        return (try leaf.derBytes(), end)
    }
}

private enum NameSuffix {
    /// 32 random bits; enough to tell the few authorities of one provider apart.
    static func random() -> String {
        let digits = String(UInt32.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}

extension Certificate {
    func derBytes() throws -> Data {
        var serializer = DER.Serializer()
        try serializer.serialize(self)
        return Data(serializer.serializedBytes)
    }
}
