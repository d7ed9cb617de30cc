import HawserFormat
import HawserRepository

// What flows between the stages of a backup. Every element is a batch of about 1 MiB: a hop costs microseconds.

/// Consecutive entries of the walk: any number that have no content to be read, files up to 1 MiB together, or one
/// larger file.
struct WalkBatch: Sendable {
    var items: [WalkItem]
    /// Counts from 0 without gaps: restores the order of the walk.
    var number: Int
}

struct WalkItem: Sendable {
    var entry: Entry
    var content: Needed
    /// What of the walk's budget it holds until it is in the tree.
    var charge = 0

    enum Needed: Sendable {
        /// The entry is complete.
        case nothing
        /// The file must be read, from the beginning or behind what a checkpoint has of it.
        case reading(resume: ResumePoint?)
    }
}

/// What a checkpoint knows of a file that was being read.
struct ResumePoint: Sendable {
    /// Of a large file a list in the repository, which is gone through and never held.
    var content: Content?
    /// Bytes: the sum of the extents.
    var offset: UInt64
}

/// A part of what was read; parts of one batch of the walk follow each other.
struct ReadBatch: Sendable {
    var batch: Int
    var part: Int
    var isLast: Bool
    var files: [FilePart<RawExtent>]
    /// Bounds how many batches without data of their own are on their way.
    var ballast: ReadBuffer?
}

/// A piece of a file's content in order; the first one brings the entry, the last one says how reading ended.
struct FilePart<Piece: Sendable>: Sendable {
    var entry: Entry?
    /// The walk's, with the entry.
    var charge = 0
    var pieces: [Piece] = []
    var end: FileEnd?
}

enum FileEnd: Sendable {
    /// Nothing was to be read, or it was kept from the parent.
    case unread
    /// `changed`: while it was read, and not one that counts as changed anyhow.
    case read(size: UInt64, changed: Bool)
    /// The file is left out.
    case failed(HawserError)
}

enum RawExtent: Sendable {
    case chunk(BufferSlice)
    case known(Extent)
    case inline([UInt8])
}

enum HashedExtent: Sendable {
    case extent(Extent)
    case inline([UInt8])
}

/// Goes to the tree.
struct HashedBatch: Sendable {
    var batch: Int
    var part: Int
    var isLast: Bool
    var files: [FilePart<HashedExtent>]
}

/// A chunk that nobody has.
struct NewChunk: Sendable {
    var id: ChunkID
    var plain: BufferSlice
}

/// A chunk as it will be stored, before it is sealed.
struct PackedChunk: Sendable {
    var id: ChunkID
    /// Kept until the sealed chunk has been compared with it.
    var plain: BufferSlice
    /// In the batch's buffer.
    var range: Range<Int>
}

struct PackedBatch: Sendable {
    var chunks: [PackedChunk]
    var bytes: PooledBytes
}

struct SealedBatch: Sendable {
    var blobs: [SealedBlob]
    var bytes: PooledBytes
    /// Keeps the reservations of what was read until the blobs are in a pack.
    var plain: [BufferSlice]
}
