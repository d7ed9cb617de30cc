public import HawserFormat

/// What `Pruner` may do.
public struct PruneOptions: Sendable {
    /// How much of the stored chunks may be of no use, so that not every pack with a dead chunk is written again.
    public enum MaxUnused: Sendable, Hashable {
        /// Of all chunks that are stored afterwards, 0...1.
        case share(Double)
        case bytes(UInt64)
        case unlimited
    }

    /// How long things must have been of no use before they are marked, and marked before they are deleted.
    public struct Grace: Sendable, Hashable {
        /// Packs, and refs without a snapshot, that are younger may belong to a session that runs.
        public var candidateAge: Duration
        /// Between the mark and the deletion, and between writing something and deleting what it stands for.
        public var deletionDelay: Duration

        public init(candidateAge: Duration, deletionDelay: Duration) {
            self.candidateAge = candidateAge
            self.deletionDelay = deletionDelay
        }

        /// Seven days and 24 hours (docs/format.md, 16): longer than sessions last that write no checkpoint, and than
        /// any storage's lists are stale.
        public static let standard = Grace(candidateAge: .seconds(7 * 86_400), deletionDelay: .seconds(86_400))
        /// For whoever knows that nothing else uses the repository, and that its storage's lists are never stale.
        public static let none = Grace(candidateAge: .zero, deletionDelay: .zero)
    }

    /// Restic's default is 5 %, too.
    public var maxUnused = MaxUnused.share(0.05)
    public var grace = Grace.standard
    /// Nothing is written or deleted.
    public var dryRun = false
    /// Bytes, as of a backup.
    public var memory = 128 << 20

    public init() {}
}

/// What a prune found and did, or of a dry run, would do. Bytes of packs are as stored, those of chunks compressed and
/// sealed.
public struct PruneSummary: Sendable {
    public struct Packs: Sendable, Hashable {
        public var count = 0
        public var bytes: UInt64 = 0

        mutating func add(_ pack: PackReference) {
            count += 1
            bytes += UInt64(pack.length)
        }
    }

    /// All that are in the storage at the beginning.
    public var packs = Packs()
    /// Chunks that snapshots and checkpoints need, each once.
    public var usedChunks: UInt64 = 0
    public var usedBytes: UInt64 = 0
    /// Chunks that nothing needs, and second copies, in packs that stay.
    public var unusedBytesLeft: UInt64 = 0
    /// Chunks that nothing needs, in packs too young to be marked, or of what was forgotten a short while ago.
    public var youngBytes: UInt64 = 0
    /// Deleted by this run: they had been marked long enough.
    public var deleted = Packs()
    /// Marked by this run; a later one deletes them.
    public var marked = Packs()
    /// Marked by this run or an earlier one, and not deleted yet.
    public var waiting = Packs()
    /// When the last of `waiting` may be deleted.
    public var waitingUntil: Timestamp?
    /// Of no use, and locked by the storage: they stay for now.
    public var locked = Packs()
    /// When the last of `locked` may go, at the earliest.
    public var lockedUntil: Timestamp?
    /// Of `marked`, those whose used chunks were moved to new packs.
    public var rewritten = Packs()
    /// Used chunks that were moved, bytes.
    public var movedBytes: UInt64 = 0
    /// Refs and checkpoints that were of no use any more.
    public var refsWritten = 0
    public var refsDeleted = 0
    public var checkpointsDeleted = 0
    public var segmentsWritten = 0
    public var segmentsDeleted = 0
    /// Needed by something, and in no pack that is there: `check` says what that hurts.
    public var missingChunks: UInt64 = 0
    /// A tree could not be read whole. Then only packs that no refs name are removed.
    public var treesAreDamaged = false
    /// Packs that could not be moved because they are damaged; they stay as they are.
    public var damaged: [ObjectKey: HawserError] = [:]

    public init() {}

    /// Something that is needed can't be had, or not be read.
    public var isDamaged: Bool { missingChunks > 0 || treesAreDamaged || !damaged.isEmpty }

    /// About what moving and deleting needs, beside listing and reading trees: requests and bytes.
    public var cost: (requests: Int, bytesRead: UInt64, bytesWritten: UInt64) {
        // A pack is read by its head, its end and a range or two; new packs have a size of 8 MiB or more.
        let written = Int((movedBytes + (8 << 20) - 1) >> 23)
        // Deletions go a thousand at a time.
        let requests = 4 * rewritten.count + written + (deleted.count + 999) / 1_000 + (rewritten.count > 0 ? 4 : 0)
        return (requests, movedBytes, movedBytes)
    }
}

/// What a running prune is about.
public struct PruneProgress: Sendable {
    public enum Phase: String, Sendable {
        case listing, marking, moving, deleting, indexing
    }

    public var phase: Phase
    /// Of `total`: tree nodes, bytes of chunks, packs, segments.
    public var done: UInt64 = 0
    /// 0: nobody knows.
    public var total: UInt64 = 0
}
