internal import Crypto

/// Decides where the pages of a tree end: by a keyed hash, so that nobody at the storage can tell or choose it.
struct TreeKey: Sendable {
    /// The state after the key: making it costs more than a path does.
    private let keyed: HMAC<SHA256>
    private let mask: UInt8

    /// - Parameters:
    ///   - secret: the repository's tree secret, 32 bytes.
    ///   - mask: the bits that have to be zero. Repositories have all 8; fewer make tall trees of few entries.
    init(_ secret: [UInt8], mask: UInt8 = 0xff) {
        keyed = HMAC<SHA256>(key: SymmetricKey(data: secret))
        self.mask = mask
    }

    /// Whether a page of `level` may end after the item whose (first) path is this.
    ///
    /// Each level looks at a byte of its own of HMAC-SHA-256(tree key, path): a page ends after 1 of 256 items, and
    /// no path ends pages on several levels more often than chance.
    func ends(level: Int, after path: EntryPath) -> Bool {
        var mac = keyed
        mac.update(data: path.bytes)
        return mac.finalize().withUnsafeBytes { $0[level & 31] & mask == 0 }
    }
}
