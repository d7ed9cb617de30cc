/// What a key slot seals, as tagged fields.
struct KeySlotContent {
    private enum Tag {
        static let repositoryID: UInt64 = 1
        static let configKey: UInt64 = 2
        static let epochs: UInt64 = 3
        static let created: UInt64 = 4
        static let username: UInt64 = 5
        static let hostname: UInt64 = 6
        static let label: UInt64 = 7
    }

    /// Longer names are of no use to people.
    static let textLimit = 1024

    var ring: KeyRing
    var metadata: KeySlot.Metadata

    init(ring: KeyRing, metadata: KeySlot.Metadata) {
        self.ring = ring
        self.metadata = metadata
    }

    func encode() throws -> [UInt8] {
        let texts = [metadata.username, metadata.hostname, metadata.label]
        guard texts.allSatisfy({ $0.count <= Self.textLimit }), metadata.created.isValid else {
            throw HawserError(.invalidArgument, "The key's label is longer than \(Self.textLimit) bytes.")
        }
        var fields = TaggedFields()
        fields.set(Tag.repositoryID, ring.repositoryID)
        fields.set(Tag.configKey, ring.configKey.bytes)
        // The newest epoch is the current one.
        fields.set(Tag.epochs, ring.epochs.sorted { $0.key < $1.key }.flatMap { [$0.key] + $0.value.bytes })
        var created: [UInt8] = []
        created.append(fixedTimestamp: metadata.created)
        fields.set(Tag.created, created)
        fields.set(Tag.username, metadata.username)
        fields.set(Tag.hostname, metadata.hostname)
        fields.set(Tag.label, metadata.label)
        return fields.bytes
    }

    /// Fields of later versions are ignored: a slot is never rewritten, only replaced.
    init(decoding bytes: [UInt8]) throws {
        var fields = try TaggedFields(bytes[...])
        let repositoryID = try fields.takeRequired(Tag.repositoryID, count: 32)
        let configKey = try Secret(fields.takeRequired(Tag.configKey, count: 32))
        var reader = ByteReader(try fields.takeRequired(Tag.epochs))
        var epochs: [UInt8: Secret] = [:]
        var current: UInt8 = 0
        while !reader.isAtEnd {
            let epoch: UInt8 = try reader.read()
            guard epoch > current else { throw HawserError(.damaged, "The key slot's epochs are not in order.") }
            current = epoch
            epochs[epoch] = Secret(Array(try reader.read(count: 32)))
        }
        guard current > 0 else { throw HawserError(.damaged, "The key slot holds no key epoch.") }
        ring = KeyRing(repositoryID: repositoryID, configKey: configKey, epochs: epochs, currentEpoch: current)

        var created = ByteReader(try fields.takeRequired(Tag.created, count: 12))
        metadata = try KeySlot.Metadata(
            created: created.readFixedTimestamp(),
            username: fields.takeRequired(Tag.username),
            hostname: fields.takeRequired(Tag.hostname),
            label: fields.takeRequired(Tag.label)
        )
    }
}
