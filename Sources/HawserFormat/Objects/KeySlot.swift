/// One way into a repository: an object below `keys/` that wraps its key ring for one password.
///
/// What can be read without the password is the kind and the cost of the derivation, nothing else.
public struct KeySlot: Sendable, Hashable {
    public enum Kind: Hashable, Sendable {
        case passphrase(ScryptParameters)
        /// A slot of a later version, to be left alone.
        case unknown(UInt8)
    }

    /// Who made the slot and when; sealed.
    public struct Metadata: Hashable, Sendable {
        public var created: Timestamp
        public var username: [UInt8]
        public var hostname: [UInt8]
        /// What people call it.
        public var label: [UInt8]

        public init(created: Timestamp, username: [UInt8], hostname: [UInt8], label: [UInt8]) {
            self.created = created
            self.username = username
            self.hostname = hostname
            self.label = label
        }
    }

    /// What came of trying a password.
    public enum Opening: Sendable, Equatable {
        case opened(KeyRing, Metadata)
        case wrongPassword
        /// The slot's kind is of a later version: try the others.
        case unknownKind(UInt8)
    }

    /// The object as stored.
    public let bytes: [UInt8]
    /// The SHA-256 of `bytes`, as in the object's key.
    public let name: ObjectName
    public let kind: Kind
    private let clearLength: Int

    private enum ClearTag {
        static let kind: UInt64 = 1
        static let scrypt: UInt64 = 2
    }

    /// The kind byte of a passphrase slot.
    private static let passphrase: UInt8 = 1
    private static let label = "hawser1 slot"
    /// Some 20 bytes are used; a later kind may need a public key.
    static let clearLengthLimit = 64 << 10

    /// Wraps `ring` for a password.
    ///
    /// - Parameters:
    ///   - password: The bytes that the user typed or the file holds: UTF-8 as given, never normalised, so whoever gives
    ///     it must give the same bytes again. Not empty.
    ///   - cost: What trying one password costs; the standard takes about 0.3 s and blocks the thread.
    /// - Throws: `invalidArgument` for an empty password, `unsupported` for a cost that readers refuse.
    public static func seal(
        _ ring: KeyRing,
        metadata: Metadata,
        password: Secret,
        cost: ScryptParameters = .standard
    ) throws -> KeySlot {
        try seal(ring, metadata: metadata, password: password, cost: cost, random: .system)
    }

    static func seal(
        _ ring: KeyRing,
        metadata: Metadata,
        password: Secret,
        cost: ScryptParameters,
        random: RandomSource
    ) throws -> KeySlot {
        guard password.count > 0 else { throw HawserError(.invalidArgument, "The password is empty.") }
        try cost.validate()
        var fields = TaggedFields()
        fields.set(ClearTag.kind, [passphrase])
        fields.set(ClearTag.scrypt, encode(cost))
        let fieldBytes = fields.bytes
        var clear = ObjectHeader(kind: .keySlot, suite: ObjectHeader.suite1).bytes
        clear.append(integer: UInt32(fieldBytes.count))
        clear += fieldBytes

        var plaintext = [UInt8](repeating: 0, count: SealedEnvelope.lengthFieldLength)
        plaintext += try KeySlotContent(ring: ring, metadata: metadata).encode()
        let length = Padme.paddedLength(plaintext.count, atLeast: ObjectSealer.minimumPaddedLength)
        try SealedEnvelope.pad(&plaintext, to: length)
        let salt = random.bytes(SealedEnvelope.saltLength)
        let bytes = try envelope.seal(
            plaintext,
            clear: clear,
            salt: salt,
            nonce: random.bytes(SealedEnvelope.nonceLength),
            base: cost.deriveKey(password: password, salt: salt)
        )
        return try KeySlot(decoding: bytes, name: ObjectName(hashOf: bytes))
    }

    /// - Parameter name: What the object is called. A slot that does not have this SHA-256 is damaged; only so can a wrong
    ///   password be told from a changed slot.
    /// - Throws: `damaged`, or `unsupported` for a newer version or a cost that is refused.
    public init(decoding bytes: [UInt8], name: ObjectName) throws {
        guard ObjectName(hashOf: bytes) == name else {
            throw HawserError(.damaged, "The key slot's bytes were changed: its name is not their SHA-256.")
        }
        var reader = ByteReader(bytes)
        let header = try ObjectHeader(&reader, kind: .keySlot, suite: ObjectHeader.suite1)
        let length: UInt32 = try reader.read()
        guard header.epoch == 0, length <= Self.clearLengthLimit else {
            throw HawserError(.damaged, "The key slot's header is not what it must be.")
        }
        var fields = try TaggedFields(reader.read(count: Int(length)))
        let kind = try fields.takeRequired(ClearTag.kind, count: 1)[0]
        if kind == Self.passphrase {
            self.kind = .passphrase(try Self.decodeCost(fields.takeRequired(ClearTag.scrypt, count: 12)))
            guard fields.isEmpty else { throw HawserError(.damaged, "The key slot has unknown fields.") }
        } else {
            self.kind = .unknown(kind)
        }
        clearLength = bytes.count - reader.remaining
        self.bytes = bytes
        self.name = name
    }

    /// Tries a password; takes as long as the slot's cost says and blocks the thread.
    ///
    /// - Throws: `damaged` if the password is right, but the content is not.
    public func open(password: Secret) throws -> Opening {
        switch kind {
        case .unknown(let kind): return .unknownKind(kind)
        case .passphrase(let cost):
            guard password.count > 0 else { return .wrongPassword }
            let plaintext = try Self.envelope.open(bytes[...], clearLength: clearLength) { salt in
                try cost.deriveKey(password: password, salt: salt)
            }
            guard let plaintext else { return .wrongPassword }
            let content = try KeySlotContent(decoding: SealedEnvelope.unpad(plaintext))
            return .opened(content.ring, content.metadata)
        }
    }

    private static var envelope: SealedEnvelope {
        // The repository id is not known before the slot is open; it lies inside.
        SealedEnvelope(label: label, kind: .keySlot, context: [])
    }

    private static func encode(_ cost: ScryptParameters) -> [UInt8] {
        var bytes: [UInt8] = []
        for value in [cost.cost, cost.blockSize, cost.parallelism] { bytes.append(integer: UInt32(clamping: value)) }
        return bytes
    }

    private static func decodeCost(_ bytes: [UInt8]) throws -> ScryptParameters {
        var reader = ByteReader(bytes)
        let values: [UInt32] = try [reader.read(), reader.read(), reader.read()]
        let cost = ScryptParameters(cost: Int(values[0]), blockSize: Int(values[1]), parallelism: Int(values[2]))
        try cost.validate()
        return cost
    }
}
