/// What a chunk holds; each type has an id key of its own, so equal bytes of two types have two ids.
public enum ChunkType: UInt8, Sendable, CaseIterable {
    case data = 1
    case contentList = 2
    case treePage = 3
    case attribute = 4

    /// Data chunks go to data packs, all others to metadata packs.
    public var isMetadata: Bool { self != .data }
}

/// Where a sealed blob lies in its pack and what it becomes when opened.
public struct BlobRecord: Hashable, Sendable {
    public var id: ChunkID
    public var type: ChunkType
    /// The key epoch that it is sealed under: 1...255.
    public var epoch: UInt8
    /// From the beginning of the pack, bytes.
    public var offset: UInt32
    /// Nonce, ciphertext and tag together, bytes.
    public var storedLength: UInt32
    /// Below 2^24.
    public var plainLength: UInt32

    public init(
        id: ChunkID,
        type: ChunkType,
        epoch: UInt8,
        offset: UInt32,
        storedLength: UInt32,
        plainLength: UInt32
    ) {
        self.id = id
        self.type = type
        self.epoch = epoch
        self.offset = offset
        self.storedLength = storedLength
        self.plainLength = plainLength
    }
}
