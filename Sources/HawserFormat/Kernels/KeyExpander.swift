internal import Crypto

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// HKDF-Expand (RFC 5869, SHA-256) to 32 bytes from one pseudorandom key, many times.
///
/// For one block of output HKDF-Expand is `HMAC(key, info | 0x01)`. The state after the key is kept, which halves the work
/// for short infos: a key for each blob must be cheap.
struct KeyExpander: Sendable {
    private let keyed: HMAC<SHA256>

    init(_ key: SymmetricKey) {
        keyed = HMAC<SHA256>(key: key)
    }

    /// - Parameter info: Without the block counter.
    func key(info: [UInt8]) -> SymmetricKey {
        var mac = keyed
        mac.update(data: info + CollectionOfOne(1))
        return SymmetricKey(data: mac.finalize())
    }
}
