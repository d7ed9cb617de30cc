import CHawser
import Crypto
import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Credentials on their way to one vault: nobody else can open them, so no buffer, JSON or text on the way ever holds the
/// secret in clear.
///
/// HPKE (RFC 9180): X25519, HKDF-SHA-256, AES-256-GCM. Inside: a version byte of 1, then access key, secret and session
/// token (empty: none), each behind its length in two bytes, the higher first.
public struct SealedS3Credentials: Sendable {
    /// Of HPKE, 32 bytes.
    public var encapsulatedKey: Data
    public var ciphertext: Data

    public init(encapsulatedKey: Data, ciphertext: Data) {
        self.encapsulatedKey = encapsulatedKey
        self.ciphertext = ciphertext
    }

    private static var suite: HPKE.Ciphersuite {
        HPKE.Ciphersuite(kem: .Curve25519_HKDF_SHA256, kdf: .HKDF_SHA256, aead: .AES_GCM_256)
    }

    private static let version: UInt8 = 1

    /// - Parameters:
    ///   - vaultKey: X25519, raw: of the request that asks for credentials.
    ///   - info: what they are bound to: the session's id.
    /// - Throws: `invalidArgument` when it is no such key, or a field is longer than 65,535 bytes.
    public init(sealing credentials: S3Credentials, to vaultKey: Data, info: Data) throws {
        var plain: [UInt8] = [Self.version]
        let fields = [credentials.secretAccessKey, credentials.sessionToken].map { $0?.count ?? 0 }
        // At once, so that it does not move and leave copies.
        plain.reserveCapacity(7 + credentials.accessKeyID.utf8.count + fields.reduce(0, +))
        defer { plain.withUnsafeMutableBytes { hawser_wipe($0.baseAddress, $0.count) } }
        guard credentials.accessKeyID.utf8.count <= UInt16.max, fields.allSatisfy({ $0 <= UInt16.max }) else {
            throw HawserError(.invalidArgument, "Such long credentials can't be sent.")
        }
        func append(_ bytes: some Collection<UInt8>) {
            plain += [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)]
            plain += bytes
        }
        append(credentials.accessKeyID.utf8)
        credentials.secretAccessKey.withUnsafeBytes { append($0) }
        if let token = credentials.sessionToken { token.withUnsafeBytes { append($0) } } else { append([]) }
        do {
            let key = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: vaultKey)
            var sender = try HPKE.Sender(recipientKey: key, ciphersuite: Self.suite, info: info)
            self.init(encapsulatedKey: sender.encapsulatedKey, ciphertext: Data(try sender.seal(plain)))
        } catch {
            throw HawserError(.invalidArgument, "The vault's key can't be used.", cause: error)
        }
    }

    /// Calls `body` with the secret in clear, which is wiped when it returns.
    ///
    /// - Throws: `damaged` when they are not sealed to this key and bound to `info`.
    func open<Result>(
        with key: Curve25519.KeyAgreement.PrivateKey,
        info: Data,
        _ body: (_ accessKeyID: String, _ secret: UnsafeRawBufferPointer, _ token: Secret?) throws -> Result
    ) throws -> Result {
        let plain: Data
        do {
            var recipient = try HPKE.Recipient(
                privateKey: key,
                ciphersuite: Self.suite,
                info: info,
                encapsulatedKey: encapsulatedKey
            )
            plain = try recipient.open(ciphertext)
        } catch {
            throw Self.damaged
        }
        return try plain.withUnsafeBytes { plain in
            // The one copy in clear: where it lies, not a copy of it.
            defer { hawser_wipe(UnsafeMutableRawPointer(mutating: plain.baseAddress), plain.count) }
            var rest = plain[...]
            guard rest.popFirst() == Self.version, let id = Self.field(&rest), let secret = Self.field(&rest),
                let token = Self.field(&rest), rest.isEmpty
            else { throw Self.damaged }
            return try body(
                String(decoding: id, as: UTF8.self),
                secret,
                token.isEmpty ? nil : Secret(copying: token)
            )
        }
    }

    private static func field(_ rest: inout Slice<UnsafeRawBufferPointer>) -> UnsafeRawBufferPointer? {
        guard let high = rest.popFirst(), let low = rest.popFirst() else { return nil }
        let count = Int(high) << 8 | Int(low)
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }

    private static let damaged = HawserError(
        .damaged,
        "The credentials that the provider sent can't be opened: they are for somebody else, or were changed on the way."
    )
}
