internal import Crypto

/// The two keys of a key epoch: one for blobs, one for every other sealed object.
///
/// Each is HKDF-Expand (RFC 5869, SHA-256, 32 bytes) of the epoch's secret, which is random and so needs no extraction.
struct EpochKeys: Sendable {
    /// The pseudorandom key from which each blob's key is expanded.
    let blob: SymmetricKey
    /// The pseudorandom key from which the key and commitment of each sealed object are expanded.
    let object: SymmetricKey

    /// - Parameter secret: The epoch's secret, 32 random bytes.
    init(secret: [UInt8]) {
        let secret = SymmetricKey(data: secret)
        blob = Self.expand(secret, label: "hawser1 epoch blob")
        object = Self.expand(secret, label: "hawser1 epoch object")
    }

    private static func expand(_ secret: SymmetricKey, label: String) -> SymmetricKey {
        HKDF<SHA256>.expand(pseudoRandomKey: secret, info: Array(label.utf8), outputByteCount: 32)
    }
}
