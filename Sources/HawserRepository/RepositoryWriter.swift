public import HawserFormat
import HawserStorage
import HawserTransfer
import Synchronization

/// A chunk, compressed and sealed, on its way into a pack.
public struct SealedBlob: Sendable {
    public var id: ChunkID
    public var type: ChunkType
    /// Bytes.
    public var plainLength: Int
    /// Where it lies in the buffer that it is handed over with.
    public var range: Range<Int>
    /// Under which it was sealed; `nil` for the current one.
    var epoch: UInt8?

    public init(id: ChunkID, type: ChunkType, plainLength: Int, range: Range<Int>) {
        self.id = id
        self.type = type
        self.plainLength = plainLength
        self.range = range
    }

    /// Of another pack, as it is.
    init(_ blob: BlobRecord, range: Range<Int>) {
        self.init(id: blob.id, type: blob.type, plainLength: Int(blob.plainLength), range: range)
        epoch = blob.epoch
    }
}

/// Writes one session's objects into a repository: packs, index segments, refs, checkpoints and the snapshot.
///
/// Blobs come in by `append`; full packs leave through `runUploads`, which must run beside all other calls, in the same
/// task group. Nothing is visible to readers before `commit`.
public actor RepositoryWriter {
    /// What has been stored in this session so far.
    public struct Totals: Sendable {
        /// Chunks that were not there before, and their plain and stored bytes.
        public var chunks = 0
        public var plainBytes: UInt64 = 0
        public var storedBytes: UInt64 = 0
        public var packs = 0
    }

    nonisolated let repository: Repository
    nonisolated let index: ChunkIndex
    /// The packs of this index that the session's snapshot needs.
    nonisolated let references = PackReferences()
    /// Chunks that this writer was asked to store and that are not durable yet.
    private nonisolated let claims = Mutex<Set<ChunkID>>([])
    nonisolated let uploads: AsyncStream<Upload>
    nonisolated let uploadContinuation: AsyncStream<Upload>.Continuation

    private var dataLane: PackLane
    private var metadataLane: PackLane
    let compressor: Compressor
    nonisolated let journal: PackJournal
    nonisolated let storesNothing: Bool
    nonisolated let writerID: [UInt8]
    nonisolated let uploadWidth: Int

    var totals = Totals()
    /// Uploads are counted; these have begun and not ended.
    var underway: Set<Int> = []
    var uploadCount = 0
    /// Each waits for all uploads up to a number.
    var flushWaiters: [(through: Int, continuation: CheckedContinuation<Void, any Error>)] = []
    /// Why no more packs are taken: the first failure, or that `runUploads` is over.
    var uploadsEnd: (any Error)?
    var lastSave = ContinuousClock.now
    /// Of packs that this session has stored.
    var lockEnds: [ObjectName: Timestamp] = [:]

    /// A full pack on its way. A reference, so that whoever takes the pack out is the only one to hold its buffer: a
    /// second holder would cost a copy of the whole pack.
    final class Upload: Sendable {
        let number: Int
        private let pack: Mutex<PackBuilder?>

        init(number: Int, pack: PackBuilder) {
            self.number = number
            self.pack = Mutex(pack)
        }

        func take() -> PackBuilder? {
            pack.withLock { $0.take() }
        }
    }

    /// - Parameters:
    ///   - compression: of metadata.
    ///   - memory: of the whole job, bytes: decides, with the repository's size, how large packs are and how many are held.
    ///   - storesNothing: takes everything and drops it, for a dry run.
    public init(
        _ repository: Repository,
        compression: CompressionMethod,
        memory: Int,
        storesNothing: Bool = false
    ) throws {
        self.storesNothing = storesNothing
        self.repository = repository
        index = repository.index
        (uploads, uploadContinuation) = AsyncStream.makeStream()
        let access = repository.target.access
        let dataSize = repository.packSize(storedBytes: repository.index.storedBytes, memory: memory)
        // Half of the memory is for packs: two of each kind are open, at least one is on its way.
        let room = (memory / 2 - Self.metadataBuffers * PackLayout.metadataSize) / dataSize
        let dataBuffers = max(3, min(room, PackLane.openPacks + access.parallelUploads))
        dataLane = PackLane(kind: .data, sizeLimit: dataSize, buffers: dataBuffers)
        metadataLane = PackLane(
            kind: .metadata,
            sizeLimit: PackLayout.metadataSize,
            buffers: Self.metadataBuffers
        )
        uploadWidth = dataBuffers
        compressor = Compressor(method: compression)
        journal = PackJournal(repository.cache)
        writerID = .random(count: 16)
    }

    public var currentTotals: Totals { totals }

    /// Whether the caller must store this chunk: it is not there, and no other part of this session is about to store
    /// it. Notes the pack that has it.
    ///
    /// What another session of the process is about to store does not count: it may fail.
    public nonisolated func claim(_ id: ChunkID) -> Bool {
        // Under one lock with the table of claims: a chunk leaves that only when the index has it.
        claims.withLock { claims in
            if reference(id) { return false }
            return claims.insert(id).inserted
        }
    }

    nonisolated func fulfil(_ records: [BlobRecord]) {
        claims.withLock { claims in
            for record in records { claims.remove(record.id) }
        }
    }

    private static let metadataBuffers = 3

    subscript(lane kind: PackKind) -> PackLane {
        _read { yield kind == .data ? dataLane : metadataLane }
        _modify {
            if kind == .data { yield &dataLane } else { yield &metadataLane }
        }
    }
}
