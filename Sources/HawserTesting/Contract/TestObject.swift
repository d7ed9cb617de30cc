import Crypto
public import HawserFormat
public import HawserStorage

/// An object for tests, under the key that its bytes give it.
public struct TestObject: Sendable {
    public let key: ObjectKey
    public let bytes: [UInt8]
    public let sha256: ObjectName

    /// - Parameter kind: one whose objects are called by their hash; `config` objects get generation 1.
    public init(_ kind: ObjectKind = .dataPack, bytes: [UInt8]) {
        let sha256 = ObjectName(sha256Of: bytes)
        self.bytes = bytes
        self.sha256 = sha256
        key =
            switch kind {
            case .config: .config(1)
            case .refs: .refs(snapshot: sha256, sha256)
            default: .named(kind, sha256)
            }
    }

    /// Under any key.
    public init(key: ObjectKey, bytes: [UInt8]) {
        self.key = key
        self.bytes = bytes
        sha256 = ObjectName(sha256Of: bytes)
    }

    /// Incompressible bytes; another seed gives another object.
    public init(_ kind: ObjectKind = .dataPack, length: Int = 100, seed: UInt64) {
        self.init(kind, bytes: Corpus.incompressible(length, seed: seed))
    }
}

extension ObjectName {
    /// The SHA-256 of `bytes`.
    public init(sha256Of bytes: [UInt8]) {
        self = SHA256.hash(data: bytes).withUnsafeBytes { ObjectName($0) }
    }
}

extension ObjectStore {
    @discardableResult
    public func put(_ object: TestObject) async throws -> PutResult {
        try await put(object.key, object.bytes, sha256: object.sha256)
    }

    /// Under a key that is not that of its hash.
    @discardableResult
    public func put(_ key: ObjectKey, _ bytes: [UInt8]) async throws -> PutResult {
        try await put(key, bytes, sha256: ObjectName(sha256Of: bytes))
    }
}
