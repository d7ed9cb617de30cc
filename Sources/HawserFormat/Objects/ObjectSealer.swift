internal import Crypto

/// Seals and opens every object but blobs: pack footers, index segments, snapshots, checkpoints.
///
/// Layout: `header 16 | salt 32 | commitment 32 | nonce 12 | ciphertext | tag 16`, see "Keys and sealing" in
/// `docs/format.md`. The plaintext is `body length 4 | body | zeros`.
public struct ObjectSealer: Sendable {
    /// How long the plaintext becomes.
    public enum Padding: Sendable {
        /// Padmé, at least 4 KiB: what all objects but the parts of packs have.
        case standard
        /// The plaintext with its length field gets exactly so many bytes.
        case exact(Int)
    }

    /// Bytes that an object has more than its padded plaintext.
    public static let overhead = ObjectHeader.byteCount + SealedEnvelope.overhead
    /// Bytes that the plaintext has more than the body before padding.
    public static let lengthFieldLength = SealedEnvelope.lengthFieldLength
    /// Below this all objects look alike: most snapshots are smaller, and storages bill 4 KiB anyway.
    public static let minimumPaddedLength = 4096

    private static let label = "hawser1 object"

    private let repositoryID: [UInt8]
    private let keys: [UInt8: EpochKeys]
    private let currentEpoch: UInt8
    private let random: RandomSource

    /// - Parameters:
    ///   - repositoryID: 32 bytes.
    ///   - epochs: The secret of each key epoch, 32 bytes each.
    ///   - currentEpoch: What new objects are sealed under.
    public init(repositoryID: [UInt8], epochs: [UInt8: [UInt8]], currentEpoch: UInt8) {
        self.init(repositoryID: repositoryID, epochs: epochs, currentEpoch: currentEpoch, random: .system)
    }

    init(repositoryID: [UInt8], epochs: [UInt8: [UInt8]], currentEpoch: UInt8, random: RandomSource) {
        self.repositoryID = repositoryID
        keys = epochs.mapValues(EpochKeys.init(secret:))
        self.currentEpoch = currentEpoch
        self.random = random
    }

    public func seal(_ body: [UInt8], kind: HeaderKind, padding: Padding = .standard) throws -> [UInt8] {
        var plaintext: [UInt8] = []
        plaintext.reserveCapacity(Self.paddedLength(ofBody: body.count))
        plaintext += repeatElement(0, count: Self.lengthFieldLength)
        plaintext += body
        return try seal(plaintext: &plaintext, kind: kind, padding: padding)
    }

    /// Seals a large body without a copy of it.
    ///
    /// - Parameter plaintext: `lengthFieldLength` bytes of any value, then the body; padded in place.
    func seal(plaintext: inout [UInt8], kind: HeaderKind, padding: Padding = .standard) throws -> [UInt8] {
        let key = try objectKey(epoch: currentEpoch)
        let length =
            switch padding {
            case .standard: Self.paddedLength(ofBody: plaintext.count - Self.lengthFieldLength)
            case .exact(let length): length
            }
        try SealedEnvelope.pad(&plaintext, to: length)
        return try envelope(kind).seal(
            plaintext,
            clear: ObjectHeader(kind: kind, suite: ObjectHeader.suite1, epoch: currentEpoch).bytes,
            salt: random.bytes(SealedEnvelope.saltLength),
            nonce: random.bytes(SealedEnvelope.nonceLength),
            base: key
        )
    }

    /// The body of a sealed object.
    ///
    /// - Throws: `damaged` if it is not what was sealed as `kind` in this repository, `unsupported` if a newer program
    ///   sealed it, `accessDenied` if it is of a key epoch that the key slot did not hold.
    public func open(_ object: [UInt8], kind: HeaderKind) throws -> [UInt8] {
        try open(object[...], kind: kind)
    }

    public func open(_ object: ArraySlice<UInt8>, kind: HeaderKind) throws -> [UInt8] {
        var reader = ByteReader(object)
        let header = try ObjectHeader(&reader, kind: kind, suite: ObjectHeader.suite1)
        let key = try objectKey(epoch: header.epoch)
        guard
            let plaintext = try envelope(kind).open(object, clearLength: ObjectHeader.byteCount, base: { _ in key })
        else { throw HawserError(.damaged, "The object was sealed under another key, or its header was changed.") }
        return try SealedEnvelope.unpad(plaintext)
    }

    /// The length of a whole object whose body has `count` bytes, with standard padding.
    public static func sealedLength(ofBody count: Int) -> Int {
        overhead + paddedLength(ofBody: count)
    }

    private static func paddedLength(ofBody count: Int) -> Int {
        Padme.paddedLength(lengthFieldLength + count, atLeast: minimumPaddedLength)
    }

    private func envelope(_ kind: HeaderKind) -> SealedEnvelope {
        SealedEnvelope(label: Self.label, kind: kind, context: repositoryID)
    }

    private func objectKey(epoch: UInt8) throws -> SymmetricKey {
        guard let key = keys[epoch]?.object else {
            throw HawserError(
                .accessDenied,
                "The object is sealed under key epoch \(epoch), which this key does not hold: "
                    + "open the repository again, with a key made since the last rotation."
            )
        }
        return key
    }
}
