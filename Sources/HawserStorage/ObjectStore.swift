public import HawserFormat

/// Where objects are kept: a folder, a bucket, memory.
///
/// The contract, which `HawserTesting` checks against every implementation:
/// - An object is immutable and whole. `put` makes it visible in one step, or not at all, and returns when it is
///   durable. Two racing puts of one key leave the bytes of one of them, never a mixture.
/// - `put` does not replace: when the key exists, what is there stays. It returns `.existed` when that is the same
///   object as far as the storage can tell (its length at least, its bytes or checksum where they can be had), and
///   otherwise throws: `damaged` for a key that names the hash of its bytes, `conflict` for another. (Where the
///   storage can't refuse, objects called by their own hash make that harmless.)
/// - After `put` has returned, `get`, `head` and `list` of any client show the object; after `delete`, none does.
/// - `get` returns exactly the bytes asked for, or throws: `notFound` for a key that is not there,
///   `invalidArgument` for a range that reaches past the end.
/// - `list` gives keys in ascending byte order, each once; keys that come or go meanwhile may be missing or not.
///   A page with fewer than `limit` objects is the last, so that no request is spent on finding the end.
///   What lies in the storage but is not a key of the format's grammar is skipped.
/// - `delete` of a key that is not there succeeds.
/// - Errors are `HawserError`s; `isRetryable` says whether the same call can succeed later. Implementations don't
///   retry: that is done once, in a layer. A cancelled call ends soon, with `CancellationError`, and leaves no half
///   object visible; whether a cancelled `put` stored the whole one is open.
public protocol ObjectStore: Sendable {
    /// - Parameter sha256: of `bytes`; sent along where the storage can check it.
    func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult
    /// - Parameter range: `nil` for the whole object; not empty, in bytes.
    func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8]
    /// `nil` when there is no such object.
    func head(_ key: ObjectKey) async throws -> ObjectInfo?
    /// At most `limit` (1...1,000) objects whose path begins with `prefix`, in order, behind `after`.
    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo]
    /// Any number of keys. When some can't be deleted the others are, and the first error is thrown.
    func delete(_ keys: [ObjectKey]) async throws
}

/// The longest object that a store takes or gives, bytes: four times the largest pack of the format, so that a
/// length that comes from damage or malice is refused before memory is spent on it.
public let maximumObjectLength = 256 << 20

public enum PutResult: Hashable, Sendable {
    case created
    case existed
}

public struct ObjectInfo: Hashable, Sendable {
    public var key: ObjectKey
    /// Bytes.
    public var length: Int
    /// When the storage says it was stored, where it says so.
    public var stored: Timestamp?

    public init(key: ObjectKey, length: Int, stored: Timestamp? = nil) {
        self.key = key
        self.length = length
        self.stored = stored
    }
}
