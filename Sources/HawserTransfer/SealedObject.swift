public import HawserFormat
public import HawserStorage

/// What passes between the movers: the whole bytes of an object, under their name.
///
/// Whoever makes one has computed `sha256` from `bytes`; it is not computed again on the way, but the storage checks it
/// where it can.
public struct SealedObject: Sendable {
    public let key: ObjectKey
    public let bytes: [UInt8]
    /// Of `bytes`.
    public let sha256: ObjectName
    /// Of a snapshot: the one whose place it takes, as with other tags.
    public let replaced: ObjectKey?

    public init(key: ObjectKey, bytes: [UInt8], sha256: ObjectName, replacing replaced: ObjectKey? = nil) {
        self.key = key
        self.bytes = bytes
        self.sha256 = sha256
        self.replaced = replaced
    }

    /// Bytes.
    public var length: Int { bytes.count }
}

/// The word of whoever watches over the storage that he took note of a snapshot before it was written.
public struct SnapshotReceipt: Hashable, Sendable {
    /// By his clock. Of a snapshot that takes another's place: when that one came.
    public let time: Timestamp
    /// When he wrote it down: later than `time` for one that takes another's place.
    public let noted: Timestamp

    public init(time: Timestamp, noted: Timestamp? = nil) {
        self.time = time
        self.noted = noted ?? time
    }
}

/// The word of the storage that an object is durable.
public struct StoreReceipt: Hashable, Sendable {
    public let key: ObjectKey
    /// As the storage confirmed it, bytes.
    public let length: Int
    /// Whether this call created the object or found it.
    public let result: PutResult

    public init(key: ObjectKey, length: Int, result: PutResult) {
        self.key = key
        self.length = length
        self.result = result
    }
}
