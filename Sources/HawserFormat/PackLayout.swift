/// What a pack holds: data chunks, or all other types.
public enum PackKind: Sendable, CaseIterable {
    case data
    case metadata

    /// The kind of pack that blobs of `type` go to.
    public init(for type: ChunkType) {
        self = type.isMetadata ? .metadata : .data
    }

    public var objectKind: ObjectKind { self == .data ? .dataPack : .metadataPack }
    var headerKind: HeaderKind { self == .data ? .dataPack : .metadataPack }
    var footerKind: HeaderKind { self == .data ? .dataPackFooter : .metadataPackFooter }
    var trailerKind: HeaderKind { self == .data ? .dataPackTrailer : .metadataPackTrailer }
}

/// Lengths of packs and their parts, bytes: `header 16 | blobs | footer | trailer 104`.
public enum PackLayout {
    public static let headerLength = ObjectHeader.byteCount
    /// Sealed: the footer's offset and length.
    public static let trailerLength = SealedEnvelope.overhead + SealedEnvelope.lengthFieldLength + 8

    /// Metadata packs are fetched whole, so they are small.
    public static let metadataSize = 4 << 20

    /// How long data packs become in a repository that holds `storedBytes`: `base` below 128 GiB, twice that below 512 GiB, four
    /// times above; so a repository never has very many objects. At most an eighth of the memory that the job may use, and from
    /// a sixteenth on in any repository: who gives much memory also wants few requests for a large first backup. All in bytes.
    public static func dataSize(base: Int, storedBytes: UInt64, memory: Int) -> Int {
        let usual = storedBytes < 128 << 30 ? base : storedBytes < 512 << 30 ? 2 * base : 4 * base
        let size = min(max(usual, memory / 16), memory / 8, greatestSize)
        return max(metadataSize, size / grain * grain)
    }

    private static let greatestSize = 64 << 20

    // Of 4 MiB, 64 KiB are 1.6 %; of 16 MiB, 0.4 %.
    static let grain = 64 << 10
    static let grainMinimum = 4 << 20
    static let writerIDLength = 16
    /// `id 32 | type 1 | epoch 1 | offset 4 | stored length 4 | plain length 4`.
    static let recordLength = 46
    /// A blob holds at least the byte that names the compression method.
    static let shortestBlob = BlobSealer.overhead + 1
    /// Plain lengths have 24 bits in index records, and packing adds one byte.
    static let longestBlob = Compressor.plainLimit + Compressor.overhead + BlobSealer.overhead
    /// Offsets have 32 bits, and a reader must be able to hold a pack. Four times the greatest that is written.
    public static let greatestLength = 256 << 20

    /// The sealed footer of `count` records without padding.
    static func footerLength(count: Int) -> Int {
        SealedEnvelope.overhead + SealedEnvelope.lengthFieldLength + writerIDLength + 4 + count * recordLength
    }

    /// The length of a pack that has `length` bytes before padding: 4 MiB and more go up to the next 64 KiB, less by Padmé
    /// and to at least 64 KiB.
    static func paddedLength(_ length: Int) -> Int {
        length >= grainMinimum ? (length + grain - 1) / grain * grain : Padme.paddedLength(length, atLeast: grain)
    }

    /// The length of the pack with `count` blobs of `blobLength` bytes together.
    static func packLength(blobLength: Int, count: Int) -> Int {
        paddedLength(headerLength + blobLength + footerLength(count: count) + trailerLength)
    }
}
