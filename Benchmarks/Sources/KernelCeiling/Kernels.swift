import Crypto
import HawserFormat
import Synchronization

/// What all cores share: keys, settings, and the chunks seen so far.
final class Kernels: Sendable {
    struct Totals: Sendable {
        var chunks = 0
        var uniqueBytes = 0
        var storedBytes = 0

        static func += (left: inout Totals, right: Totals) {
            left.chunks += right.chunks
            left.uniqueBytes += right.uniqueBytes
            left.storedBytes += right.storedBytes
        }
    }

    struct Difference: Error {}

    /// Small repositories have packs of this size.
    fileprivate static let packSize = 16 << 20

    fileprivate let compression: CompressionMethod
    fileprivate let compares: Bool
    // Fixed keys: the same cuts in every run. Nothing is stored.
    fileprivate let chunkerSecret = [UInt8](repeating: 1, count: 32)
    fileprivate let ids = ChunkIDKeys(secret: [UInt8](repeating: 2, count: 32))
    fileprivate let sealer = BlobSealer(
        repositoryID: [UInt8](repeating: 3, count: 32),
        epochs: [1: [UInt8](repeating: 4, count: 32)],
        currentEpoch: 1
    )
    private let known = Mutex<Set<ChunkID>>([])

    init(compression: CompressionMethod, compares: Bool) {
        self.compression = compression
        self.compares = compares
    }

    func makeWorker() throws -> KernelWorker {
        try KernelWorker(self)
    }

    fileprivate func isNew(_ id: ChunkID) -> Bool {
        known.withLock { $0.insert(id).inserted }
    }
}

/// One core's contexts and buffers, all reused.
struct KernelWorker {
    private let kernels: Kernels
    private let compressor: Compressor
    private var chunker: Chunker
    private var packed: [UInt8] = []
    private var pack: [UInt8] = []
    private var totals = Kernels.Totals()

    fileprivate init(_ kernels: Kernels) throws {
        self.kernels = kernels
        compressor = Compressor(method: kernels.compression)
        chunker = Chunker(parameters: .files, secret: kernels.chunkerSecret)
        // The next blob can be as long as the largest chunk and what sealing adds.
        pack.reserveCapacity(Kernels.packSize + ChunkerParameters.files.maximum + 4096)
    }

    mutating func run(_ segment: Corpus.Segment, in corpus: Corpus) throws {
        for piece in segment {
            if piece.beginsFile { chunker.reset() }
            var rest = piece.range
            while !rest.isEmpty {
                let length = chunker.cut(corpus.bytes(rest)) ?? rest.count
                try store(corpus.bytes(rest.prefix(length)))
                rest = rest.dropFirst(length)
            }
            // A file that goes on in the next segment is cut at the segment's end: once in 64 MiB.
            chunker.reset()
        }
    }

    mutating func finish() -> Kernels.Totals {
        closePack()
        return totals
    }

    private mutating func store(_ chunk: UnsafeRawBufferPointer) throws {
        totals.chunks += 1
        let id = kernels.ids.id(of: chunk, type: .data)
        guard kernels.isNew(id) else { return }
        totals.uniqueBytes += chunk.count
        compressor.compress(chunk, into: &packed)
        let begin = pack.count
        try packed.withUnsafeBytes { packed in
            try kernels.sealer.seal(packed, id: id, type: .data, plainLength: chunk.count, into: &pack)
        }
        if kernels.compares { try compare(pack[begin...], with: chunk, id: id) }
        if pack.count >= Kernels.packSize { closePack() }
    }

    private mutating func compare(
        _ sealed: ArraySlice<UInt8>,
        with chunk: UnsafeRawBufferPointer,
        id: ChunkID
    ) throws {
        let isSame = try sealed.withUnsafeBytes { sealed in
            try kernels.sealer.open(sealed, id: id, type: .data, epoch: 1, plainLength: chunk.count) { packed in
                try compressor.matches(packed, plain: chunk)
            }
        }
        guard isSame else {
            throw Kernels.Difference()
        }
    }

    private mutating func closePack() {
        guard !pack.isEmpty else { return }
        var hash = SHA256()
        pack.withUnsafeBytes { hash.update(bufferPointer: $0) }
        _ = hash.finalize()
        totals.storedBytes += pack.count
        pack.removeAll(keepingCapacity: true)
    }
}
