import Crypto
import NIOSSL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a server proves its name with.
struct TLSFiles: Sendable {
    let configuration: TLSConfiguration
    /// In PEM, when the server made it.
    let certificate: String?

    init?(_ security: S3TestServer.Configuration.Security) throws {
        let certificates: String
        let key: String
        switch security {
        case .none: return nil
        case .selfSigned:
            let made = try SelfSignedCertificate()
            (certificates, key, certificate) = (made.pem, made.key, made.pem)
        case .pem(let given, let givenKey):
            (certificates, key, certificate) = (given, givenKey, nil)
        }
        configuration = .makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificates.utf8)).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
        )
    }
}

/// A certificate for 127.0.0.1 and localhost that signs itself: X.509 version 3 (RFC 5280) with ECDSA over P-256,
/// written by hand because a library for it would be the largest dependency of this package.
struct SelfSignedCertificate {
    let pem: String
    /// In PEM.
    let key: String

    init() throws {
        let privateKey = P256.Signing.PrivateKey()
        let algorithm = DER.sequence(DER.identifier([1, 2, 840, 10045, 4, 3, 2]))
        let name = DER.sequence(
            DER.tagged(0x31, DER.sequence(DER.identifier([2, 5, 4, 3]) + DER.tagged(0x0c, Array("Hawser test".utf8))))
        )
        // From 2020 to 2049, the range of UTCTime, so that the clocks of tests lie within.
        let validity = DER.sequence(
            DER.tagged(0x17, Array("200101000000Z".utf8)) + DER.tagged(0x17, Array("491231235959Z".utf8))
        )
        let names = DER.sequence(
            DER.tagged(0x82, Array("localhost".utf8)) + DER.tagged(0x82, Array("*.localhost".utf8))
                + DER.tagged(0x87, [127, 0, 0, 1])
        )
        let extensions = DER.sequence(
            // Subject alternative names, and that it may sign certificates: its own.
            DER.sequence(DER.identifier([2, 5, 29, 17]) + DER.tagged(0x04, names))
                + DER.sequence(
                    DER.identifier([2, 5, 29, 19]) + DER.tagged(0x01, [0xff])
                        + DER.tagged(0x04, DER.sequence(DER.tagged(0x01, [0xff])))
                )
        )
        let serial = [0x01] + (0..<15).map { _ in UInt8.random(in: 0...255) }
        let body = DER.sequence(
            DER.tagged(0xa0, DER.tagged(0x02, [2])) + DER.tagged(0x02, serial) + algorithm + name + validity + name
                + Array(privateKey.publicKey.derRepresentation) + DER.tagged(0xa3, extensions)
        )
        let signature = try privateKey.signature(for: body).derRepresentation
        let certificate = DER.sequence(body + algorithm + DER.tagged(0x03, [0] + Array(signature)))
        let text = Data(certificate).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
        pem = "-----BEGIN CERTIFICATE-----\n" + text + "\n-----END CERTIFICATE-----\n"
        key = privateKey.pemRepresentation
    }
}

/// The distinguished encoding rules (X.690), as far as a certificate needs them.
private enum DER {
    static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        let length: [UInt8] =
            switch count {
            case ..<128: [UInt8(count)]
            case ..<256: [0x81, UInt8(count)]
            default: [0x82, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
            }
        return [tag] + length + content
    }

    static func sequence(_ content: [UInt8]) -> [UInt8] { tagged(0x30, content) }

    static func identifier(_ numbers: [Int]) -> [UInt8] {
        tagged(0x06, [UInt8(numbers[0] * 40 + numbers[1])] + numbers.dropFirst(2).flatMap(base128))
    }

    private static func base128(_ number: Int) -> [UInt8] {
        var bytes = [UInt8(number & 0x7f)]
        var rest = number >> 7
        while rest > 0 {
            bytes.insert(UInt8(rest & 0x7f) | 0x80, at: 0)
            rest >>= 7
        }
        return bytes
    }
}
