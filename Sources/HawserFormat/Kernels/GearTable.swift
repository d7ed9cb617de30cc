internal import Crypto

/// The secret part of the gear hash: one 64-bit word for each byte value.
struct GearTable: Sendable {
    /// 256 words.
    let words: [UInt64]

    /// The words are HKDF-Expand(secret, "hawser1 gear64", 2048), each little-endian.
    ///
    /// - Parameter secret: The repository's chunker secret, 32 random bytes.
    init(secret: [UInt8]) {
        let bytes = HKDF<SHA256>.expand(
            pseudoRandomKey: SymmetricKey(data: secret),
            info: Array("hawser1 gear64".utf8),
            outputByteCount: 256 * 8
        )
        words = bytes.withUnsafeBytes { bytes in
            (0..<256).map { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
        }
    }
}
