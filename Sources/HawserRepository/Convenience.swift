public import HawserFormat
import HawserTransfer

extension SealedObject {
    /// An object of a kind that is called by its own SHA-256.
    init(kind: ObjectKind, bytes: [UInt8]) {
        let name = ObjectName(hashOf: bytes)
        self.init(key: .named(kind, name), bytes: bytes, sha256: name)
    }
}

extension Snapshot {
    /// Where its tree begins.
    public var root: TreeRoot {
        TreeRoot(id: tree, height: treeHeight, entryCount: 0, byteCount: 0)
    }
}

extension Checkpoint.Prefix {
    public var root: TreeRoot {
        TreeRoot(id: tree, height: treeHeight, entryCount: 0, byteCount: 0)
    }
}

extension HawserError {
    /// What was sealed does not open to what it was.
    public static let differsAfterSealing = HawserError(
        .internalError,
        "A chunk differs after it was sealed and opened again. The memory of this machine may be failing; test it before the next backup."
    )
}
