import Crypto
import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What a machine signs in with (Ed25519): the one secret that a tenant's machine keeps. Never shown.
public struct DeviceKey: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    /// Bytes.
    static let length = 32

    /// A new one.
    public init() {
        key = Curve25519.Signing.PrivateKey()
    }

    /// - Parameter bytes: the 32 bytes of the key as they are, or in base64, with or without an end of line.
    /// - Throws: `invalidArgument` for anything else, without showing it.
    public init(parsing bytes: [UInt8]) throws {
        let raw = bytes.count == Self.length ? Data(bytes) : Self.decode(bytes)
        guard let raw, raw.count == Self.length, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: raw)
        else {
            throw HawserError(
                .invalidArgument,
                "The device key is not 32 bytes, as they are or in base64, such as «openssl rand -base64 32» makes them."
            )
        }
        self.key = key
    }

    private static func decode(_ bytes: [UInt8]) -> Data? {
        let isSpace: (UInt8) -> Bool = { [0x20, 0x0A, 0x0D, 0x09].contains($0) }
        let text = bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        return Data(base64Encoded: Data(text))
    }

    /// Raw, 32 bytes.
    public var publicKey: Data { key.publicKey.rawRepresentation }

    /// For the profile's file alone.
    var rawRepresentation: Data { key.rawRepresentation }

    /// The proof of a sign-in.
    func signature(
        device: ControlID,
        nonce: Data,
        purpose: Purpose,
        domain: String,
        subtenant: String?
    ) throws -> Data {
        try key.signature(
            for: SignInRequest.signedBytes(
                device: device,
                nonce: nonce,
                purpose: purpose,
                domain: domain,
                subtenant: subtenant
            )
        )
    }
}

extension DeviceKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "<device key>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
