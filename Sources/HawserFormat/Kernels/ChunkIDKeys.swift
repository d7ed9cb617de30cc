internal import Crypto

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Computes chunk ids: HMAC-SHA-256 of a chunk's bytes under the id key of its type.
///
/// The key of each type is HKDF-Expand(id secret, "hawser1 chunk id" | type, 32), so that equal bytes of two types have
/// two ids.
public struct ChunkIDKeys: Sendable {
    /// In the order of the types' raw values, which begin with 1; the state after the key.
    private let keyed: [HMAC<SHA256>]

    /// - Parameter secret: The repository's id secret, 32 random bytes.
    public init(secret: [UInt8]) {
        let expander = KeyExpander(SymmetricKey(data: secret))
        keyed = ChunkType.allCases.map {
            HMAC<SHA256>(key: expander.key(info: Array("hawser1 chunk id".utf8) + [$0.rawValue]))
        }
    }

    public func id(of bytes: UnsafeRawBufferPointer, type: ChunkType) -> ChunkID {
        var mac = keyed[Int(type.rawValue) - 1]
        mac.update(data: bytes)
        return mac.finalize().withUnsafeBytes { ChunkID($0) }
    }
}
