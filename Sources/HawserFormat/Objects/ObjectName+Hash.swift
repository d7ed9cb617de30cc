internal import Crypto

extension Identifier where Tag == ObjectTag {
    /// What an object of these bytes is called: their SHA-256.
    public init(hashOf bytes: some Sequence<UInt8>) {
        var hash = SHA256()
        let isContiguous: Void? = bytes.withContiguousStorageIfAvailable {
            hash.update(bufferPointer: UnsafeRawBufferPointer($0))
        }
        if isContiguous == nil { hash.update(data: Array(bytes)) }
        self = hash.finalize().withUnsafeBytes { Self($0) }
    }
}
