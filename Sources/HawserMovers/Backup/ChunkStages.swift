import Glibc
import HawserFormat
import HawserRepository
import Synchronization

/// The hash stage: names chunks and finds out which are new.
struct HashStage: Sendable {
    let writer: RepositoryWriter
    let ids: ChunkIDKeys
    let progress: BackupProgressCounters
    /// Disk images: zeros in them are as good as a hole.
    let zerosAreHoles: Bool
    let known: AsyncStream<HashedBatch>.Continuation
    let new: AsyncStream<[NewChunk]>.Continuation

    func hash(_ batch: ReadBatch) {
        var group: [NewChunk] = []
        var groupBytes = 0
        var files: [FilePart<HashedExtent>] = []
        files.reserveCapacity(batch.files.count)
        for file in batch.files {
            var hashed = FilePart<HashedExtent>(entry: file.entry, charge: file.charge, end: file.end)
            hashed.pieces.reserveCapacity(file.pieces.count)
            for piece in file.pieces {
                switch piece {
                case .known(let extent): hashed.pieces.append(.extent(extent))
                case .inline(let bytes): hashed.pieces.append(.inline(bytes))
                case .chunk(let slice):
                    let length = slice.range.count
                    if slice.withUnsafeBytes({ $0.isAllZero }) {
                        hashed.pieces.append(.extent(zerosAreHoles ? .hole(length: length) : .zero(length: length)))
                        continue
                    }
                    let id = slice.withUnsafeBytes { ids.id(of: $0, type: .data) }
                    hashed.pieces.append(.extent(.data(id, length: length)))
                    guard writer.claim(id) else { continue }
                    progress.new(bytes: length)
                    group.append(NewChunk(id: id, plain: slice))
                    groupBytes += length
                    // One chunk of ordinary size, or many small ones: what one hop is worth.
                    if groupBytes >= ReadBufferPool.smallCapacity / 2 {
                        new.yield(group)
                        group = []
                        groupBytes = 0
                    }
                }
            }
            files.append(hashed)
        }
        if !group.isEmpty { new.yield(group) }
        known.yield(HashedBatch(batch: batch.batch, part: batch.part, isLast: batch.isLast, files: files))
    }
}

/// The compress stage.
struct CompressStage: Sendable {
    let workers: WorkerPool
    let buffers: BytePool
    let output: AsyncStream<PackedBatch>.Continuation

    func compress(_ chunks: [NewChunk]) {
        let packed = buffers.take()
        var batch = PackedBatch(chunks: [], bytes: packed)
        batch.chunks.reserveCapacity(chunks.count)
        workers.with { worker in
            for chunk in chunks {
                chunk.plain.withUnsafeBytes { worker.compressor.compress($0, into: &worker.scratch) }
                let start = packed.bytes.count
                packed.bytes += worker.scratch
                batch.chunks.append(PackedChunk(id: chunk.id, plain: chunk.plain, range: start..<packed.bytes.count))
            }
        }
        output.yield(batch)
    }
}

/// The encrypt stage: seals, then opens what it sealed and compares it with the chunk, so that neither bad memory nor a
/// compressor's defect reaches the storage.
struct EncryptStage: Sendable {
    let sealer: BlobSealer
    let workers: WorkerPool
    let buffers: BytePool
    let verifies: Bool
    let output: AsyncStream<SealedBatch>.Continuation

    func encrypt(_ packed: PackedBatch) throws {
        let sealed = buffers.take()
        var batch = SealedBatch(blobs: [], bytes: sealed, plain: [])
        batch.blobs.reserveCapacity(packed.chunks.count)
        for chunk in packed.chunks {
            let start = sealed.bytes.count
            let length = chunk.plain.range.count
            try packed.bytes.bytes.withUnsafeBytes { bytes in
                try sealer.seal(
                    UnsafeRawBufferPointer(rebasing: bytes[chunk.range]),
                    id: chunk.id,
                    type: .data,
                    plainLength: length,
                    into: &sealed.bytes
                )
            }
            let range = start..<sealed.bytes.count
            if verifies { try verify(sealed.bytes[range], chunk) }
            batch.blobs.append(SealedBlob(id: chunk.id, type: .data, plainLength: length, range: range))
            batch.plain.append(chunk.plain)
        }
        output.yield(batch)
    }

    private func verify(_ sealed: ArraySlice<UInt8>, _ chunk: PackedChunk) throws {
        let isSame = try? workers.with { worker in
            try sealed.withUnsafeBytes { bytes in
                try sealer.open(
                    bytes,
                    id: chunk.id,
                    type: .data,
                    epoch: sealer.currentEpoch,
                    plainLength: chunk.plain.range.count
                ) { packed in
                    try chunk.plain.withUnsafeBytes { try worker.compressor.matches(packed, plain: $0) }
                }
            }
        }
        guard isSame == true else { throw HawserError.differsAfterSealing }
    }
}

/// Compression contexts, reused: setting one up costs as much as compressing some kilobytes.
final class WorkerPool: Sendable {
    private let method: CompressionMethod
    private let free = Mutex<[Worker]>([])

    final class Worker: @unchecked Sendable {
        // Unchecked: only whoever took it from the pool uses it.
        let compressor: Compressor
        var scratch: [UInt8] = []

        init(_ compressor: Compressor) {
            self.compressor = compressor
        }
    }

    init(_ method: CompressionMethod) {
        self.method = method
    }

    func with<Result>(_ body: (Worker) throws -> Result) rethrows -> Result {
        let worker = free.withLock { $0.popLast() } ?? Worker(Compressor(method: method))
        defer { free.withLock { $0.append(worker) } }
        return try body(worker)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether there is no byte but zero. Ends at the first other one.
    var isAllZero: Bool {
        guard let base = baseAddress, count > 0 else { return true }
        if self[0] != 0 || self[count - 1] != 0 || self[count / 2] != 0 { return false }
        // Equal to itself, one byte on.
        return memcmp(base, base + 1, count - 1) == 0
    }
}
