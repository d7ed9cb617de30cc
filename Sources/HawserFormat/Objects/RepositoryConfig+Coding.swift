// `header 16 | length of the clear fields 4 | clear fields | salt 32 | commitment 32 | nonce 12 | ciphertext | tag 16`.
//
// The clear fields are tagged binary, not JSON: one encoding for each content, unknown fields survive byte by byte, and
// the parser that meets unauthenticated bytes stays as small as can be.

extension RepositoryConfig {
    private enum ClearTag {
        static let repositoryID: UInt64 = 1
        static let generation: UInt64 = 2
        static let previous: UInt64 = 3
        static let readFeatures: UInt64 = 4
        static let writeFeatures: UInt64 = 5
        static let infoFeatures: UInt64 = 6
        static let fileChunker: UInt64 = 7
        static let imageChunker: UInt64 = 8
        static let suites: UInt64 = 9
    }

    private enum SealedTag {
        static let id: UInt64 = 1
        static let chunker: UInt64 = 2
        static let tree: UInt64 = 3
        static let takenEpoch: UInt64 = 4
        static let lock: UInt64 = 5
    }

    private static let label = "hawser1 config"
    /// Some 200 bytes are used; the rest is room for later versions, and a bound for readers.
    static let clearLengthLimit = 64 << 10

    /// - Throws: `invalidArgument` if a value is out of its range or `ring` is another repository's; `unsupported` for
    ///   chunk lengths that readers refuse.
    public func encode(_ ring: KeyRing) throws -> [UInt8] {
        try encode(ring, random: .system)
    }

    func encode(_ ring: KeyRing, random: RandomSource) throws -> [UInt8] {
        guard ring.repositoryID == header.repositoryID else {
            throw HawserError(.invalidArgument, "The keys are those of another repository.")
        }
        let fields = try header.encode().bytes
        guard fields.count <= Self.clearLengthLimit else {
            throw HawserError(.invalidArgument, "The repository's configuration is too long.")
        }
        var clear = ObjectHeader(kind: .config, suite: ObjectHeader.suite1).bytes
        clear.append(integer: UInt32(fields.count))
        clear += fields

        var sealed = unknownSecretFields
        sealed.set(SealedTag.id, secrets.id.bytes)
        sealed.set(SealedTag.chunker, secrets.chunker.bytes)
        sealed.set(SealedTag.tree, secrets.tree.bytes)
        if takenEpoch > 1 { sealed.set(SealedTag.takenEpoch, [takenEpoch]) }
        if let lock { sealed.set(SealedTag.lock, Self.encode(lock)) }
        var plaintext = [UInt8](repeating: 0, count: SealedEnvelope.lengthFieldLength) + sealed.bytes
        let length = Padme.paddedLength(plaintext.count, atLeast: ObjectSealer.minimumPaddedLength)
        try SealedEnvelope.pad(&plaintext, to: length)
        return try Self.envelope(header.repositoryID).seal(
            plaintext,
            clear: clear,
            salt: random.bytes(SealedEnvelope.saltLength),
            nonce: random.bytes(SealedEnvelope.nonceLength),
            base: ring.configKey.key
        )
    }

    /// - Throws: `damaged` if it was not written with the keys of `ring`, `unsupported` if reading it (or the
    ///   repository) needs a newer program.
    public init(decoding object: [UInt8], ring: KeyRing) throws {
        try self.init(decoding: object, ring: ring, known: .known)
    }

    init(decoding object: [UInt8], ring: KeyRing, known: FeatureFlags) throws {
        let (header, clearLength) = try Self.parse(object)
        guard header.repositoryID == ring.repositoryID else {
            throw HawserError(.damaged, "The configuration is another repository's than the key.")
        }
        let plaintext = try Self.envelope(header.repositoryID)
            .open(object[...], clearLength: clearLength, base: { _ in ring.configKey.key })
        guard let plaintext else {
            throw HawserError(.damaged, "The configuration was sealed under another key, or its header was changed.")
        }
        try header.features.checkReadable(known: known)
        guard header.suites.isSubset(of: [ObjectHeader.suite1]) else {
            throw HawserError(.unsupported, "The repository uses a cipher suite of a newer Hawser.")
        }
        var sealed = try TaggedFields(SealedEnvelope.unpad(plaintext)[...])
        self.header = header
        secrets = try RepositorySecrets(
            chunker: Secret(sealed.takeRequired(SealedTag.chunker, count: 32)),
            id: Secret(sealed.takeRequired(SealedTag.id, count: 32)),
            tree: Secret(sealed.takeRequired(SealedTag.tree, count: 32))
        )
        if let value = sealed.take(SealedTag.takenEpoch) {
            guard value.count == 1, value[0] > 1 else {
                throw HawserError(.damaged, "The configuration names an impossible key epoch.")
            }
            takenEpoch = value[0]
        }
        lock = try sealed.take(SealedTag.lock).map(Self.decodeLock)
        guard (lock != nil) == header.features.write.contains(FeatureFlags.objectLock) else {
            throw HawserError(.damaged, "The configuration contradicts itself about object locks.")
        }
        unknownSecretFields = sealed
    }

    /// `mode 1 | days 2`.
    private static func encode(_ lock: ObjectLock) -> [UInt8] {
        var bytes = [lock.mode.rawValue]
        bytes.append(integer: lock.days)
        return bytes
    }

    private static func decodeLock(_ bytes: [UInt8]) throws -> ObjectLock {
        var reader = ByteReader(bytes)
        let mode: UInt8 = try reader.read()
        let days: UInt16 = try reader.read()
        try reader.expectNothingMore()
        guard let mode = ObjectLock.Mode(rawValue: mode), let lock = try? ObjectLock(mode, days: Int(days)) else {
            throw HawserError(.damaged, "The configuration names an impossible object lock.")
        }
        return lock
    }

    /// The clear header, without keys: what it says is not authenticated.
    public static func header(of object: [UInt8]) throws -> Header {
        try parse(object).header
    }

    private static func parse(_ object: [UInt8]) throws -> (header: Header, clearLength: Int) {
        var reader = ByteReader(object)
        let objectHeader = try ObjectHeader(&reader, kind: .config, suite: ObjectHeader.suite1)
        let length: UInt32 = try reader.read()
        guard objectHeader.epoch == 0, length <= clearLengthLimit else {
            throw HawserError(.damaged, "The configuration's header is not what it must be.")
        }
        let fields = try TaggedFields(reader.read(count: Int(length)))
        return (try Header(fields), object.count - reader.remaining)
    }

    private static func envelope(_ repositoryID: [UInt8]) -> SealedEnvelope {
        SealedEnvelope(label: label, kind: .config, context: repositoryID)
    }
}

extension RepositoryConfig.Header {
    private typealias Tag = RepositoryConfig.ClearTag

    func encode() throws -> TaggedFields {
        guard repositoryID.count == 32, generation > 0, (previous == nil) == (generation == 1), !suites.isEmpty else {
            throw HawserError(.invalidArgument, "The repository's configuration is not complete.")
        }
        var fields = unknownFields
        fields.set(Tag.repositoryID, repositoryID)
        fields.set(Tag.generation, Self.encode(generation))
        if let previous { fields.set(Tag.previous, previous.bytes) }
        fields.set(Tag.readFeatures, try FeatureFlags.encode(features.read))
        fields.set(Tag.writeFeatures, try FeatureFlags.encode(features.write))
        fields.set(Tag.infoFeatures, try FeatureFlags.encode(features.info))
        fields.set(Tag.fileChunker, try Self.encode(fileChunker))
        fields.set(Tag.imageChunker, try Self.encode(imageChunker))
        fields.set(Tag.suites, suites.sorted())
        return fields
    }

    init(_ encoded: TaggedFields) throws {
        var fields = encoded
        repositoryID = try fields.takeRequired(Tag.repositoryID, count: 32)
        generation = try Self.decodeGeneration(fields.takeRequired(Tag.generation, count: 4))
        previous = try fields.take(Tag.previous).map { value in
            guard let name = ObjectName(value) else {
                throw HawserError(.damaged, "The configuration names its predecessor wrongly.")
            }
            return name
        }
        features = try FeatureFlags(
            read: FeatureFlags.decode(fields.takeRequired(Tag.readFeatures)),
            write: FeatureFlags.decode(fields.takeRequired(Tag.writeFeatures)),
            info: FeatureFlags.decode(fields.takeRequired(Tag.infoFeatures))
        )
        fileChunker = try Self.decodeChunker(fields.takeRequired(Tag.fileChunker))
        imageChunker = try Self.decodeChunker(fields.takeRequired(Tag.imageChunker))
        let suiteBytes = try fields.takeRequired(Tag.suites)
        suites = Set(suiteBytes)
        unknownFields = fields
        guard generation > 0, (previous == nil) == (generation == 1), !suites.isEmpty, suites.sorted() == suiteBytes
        else { throw HawserError(.damaged, "The configuration contradicts itself.") }
    }

    private static func encode(_ generation: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(integer: generation)
        return bytes
    }

    private static func decodeGeneration(_ bytes: [UInt8]) throws -> UInt32 {
        var reader = ByteReader(bytes)
        return try reader.read()
    }

    /// `kind as counted text | minimum 4 | average 4 | maximum 4`, lengths in bytes.
    private static func encode(_ parameters: ChunkerParameters) throws -> [UInt8] {
        try parameters.validate()
        var bytes: [UInt8] = []
        bytes.append(counted: parameters.kind.rawValue.utf8)
        for length in [parameters.minimum, parameters.average, parameters.maximum] {
            guard let length = UInt32(exactly: length) else {
                throw HawserError(.invalidArgument, "A chunk length is out of range.")
            }
            bytes.append(integer: length)
        }
        return bytes
    }

    private static func decodeChunker(_ bytes: [UInt8]) throws -> ChunkerParameters {
        var reader = ByteReader(bytes)
        let name = String(decoding: try reader.readBytes(limit: FeatureFlags.nameLimit), as: UTF8.self)
        let lengths: [UInt32] = try [reader.read(), reader.read(), reader.read()]
        try reader.expectNothingMore()
        guard let kind = ChunkerParameters.Kind(rawValue: name) else {
            throw HawserError(.unsupported, "The repository cuts chunks in a way that needs a newer Hawser.")
        }
        let parameters = ChunkerParameters(
            kind: kind,
            minimum: Int(lengths[0]),
            average: Int(lengths[1]),
            maximum: Int(lengths[2])
        )
        try parameters.validate()
        return parameters
    }
}
