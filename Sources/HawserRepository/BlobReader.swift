public import HawserFormat
import HawserStorage
import HawserTransfer

/// Reads single chunks, as trees need them. Keeps the last metadata packs, since pages lie in the order of the walk.
public actor BlobReader {
    private let repository: Repository
    private let compressor = Compressor(method: .off)
    /// Last used last.
    private var packs: [(number: UInt32, bytes: [UInt8])] = []

    /// Of 4 MiB each: a walk in order touches two, the ones that were open together.
    private static let packLimit = 4

    public init(_ repository: Repository) {
        self.repository = repository
    }

    /// - Throws: `notFound` when the index does not have the chunk, `damaged` when its bytes are not what they must be.
    public func read(_ id: ChunkID, type: ChunkType) async throws -> [UInt8] {
        try await repository.withPlace(of: id, refreshing: true) { try await read($0, type) }
    }

    private func read(_ record: IndexRecord, _ type: ChunkType) async throws -> [UInt8] {
        guard record.blob.type == type else {
            throw HawserError(.damaged, "A chunk is of another kind than it is used for.", place: record.blob.id.hex)
        }
        let pack = repository.index.pack(record.packNumber)
        let sealed: ArraySlice<UInt8>
        if type.isMetadata {
            let whole = try await metadataPack(record.packNumber, pack)
            let start = Int(record.blob.offset)
            let end = start + Int(record.blob.storedLength)
            guard end <= whole.count else {
                throw HawserError(.damaged, "The pack is shorter than its index says.", place: pack.key.path)
            }
            sealed = whole[start..<end]
        } else {
            sealed = try await repository.fetch([record.blob], from: pack)[0]
        }
        return try repository.open(sealed, record.blob, with: compressor, place: pack.key)
    }

    private func metadataPack(_ number: UInt32, _ pack: PackReference) async throws -> [UInt8] {
        if let place = packs.firstIndex(where: { $0.number == number }) {
            let found = packs.remove(at: place)
            packs.append(found)
            return found.bytes
        }
        let bytes = try await repository.fetchMetadataPack(pack)
        packs.append((number, bytes))
        if packs.count > Self.packLimit { packs.removeFirst() }
        return bytes
    }
}

extension Repository {
    /// Data is read on this grid, so that requests don't show where chunks lie.
    public static let readGrid = 256 << 10

    /// One range of a pack that covers `blobs`, on the grid; their sealed bytes in order.
    public func fetch(_ blobs: [BlobRecord], from pack: PackReference) async throws -> [ArraySlice<UInt8>] {
        let (bytes, ranges) = try await fetchSpan(blobs, from: pack)
        return ranges.map { bytes[$0] }
    }

    /// The same, with where each lies in what was read.
    func fetchSpan(
        _ blobs: [BlobRecord],
        from pack: PackReference
    ) async throws -> (bytes: [UInt8], ranges: [Range<Int>]) {
        let span = try Self.span(of: blobs, in: pack)
        let bytes = try await target.fetch(pack.key, range: span)
        let ranges = blobs.map { blob in
            let offset = Int(blob.offset) - span.lowerBound
            return offset..<offset + Int(blob.storedLength)
        }
        return (bytes, ranges)
    }

    /// What of a pack is read for these, on the grid.
    ///
    /// - Throws: `damaged` when it is not in the pack.
    static func span(of blobs: [BlobRecord], in pack: PackReference) throws -> Range<Int> {
        let low = blobs.map { Int($0.offset) }.min() ?? 0
        let high = blobs.map { Int($0.offset) + Int($0.storedLength) }.max() ?? 0
        let start = low / readGrid * readGrid
        let end = min((high + readGrid - 1) / readGrid * readGrid, Int(pack.length))
        guard high <= Int(pack.length), start < end else {
            throw HawserError(.damaged, "The index names bytes outside of a pack.", place: pack.key.path)
        }
        return start..<end
    }

    /// Opens, decompresses and proves a chunk.
    public func open(
        _ sealed: ArraySlice<UInt8>,
        _ blob: BlobRecord,
        with compressor: Compressor,
        place: ObjectKey
    ) throws -> [UInt8] {
        var plain: [UInt8] = []
        try open(sealed, blob, with: compressor, place: place, into: &plain)
        return plain
    }

    /// The same into memory that is used again: it replaces what `plain` holds.
    public func open(
        _ sealed: ArraySlice<UInt8>,
        _ blob: BlobRecord,
        with compressor: Compressor,
        place: ObjectKey,
        into plain: inout [UInt8]
    ) throws {
        let length = Int(blob.plainLength)
        do {
            try sealed.withUnsafeBytes {
                try blobs.open($0, id: blob.id, type: blob.type, epoch: blob.epoch, plainLength: length) { packed in
                    try compressor.decompress(packed, plainLength: length, into: &plain)
                }
            }
        } catch var error as HawserError {
            error.place = place.path
            throw error
        }
        guard plain.withUnsafeBytes({ ids.id(of: $0, type: blob.type) }) == blob.id else {
            throw HawserError(.damaged, "A chunk's content is not what its name says.", place: place.path)
        }
    }

    /// Reads a chunk where the index has it. A pack that has gone since the index was read, or that a killed prune has
    /// left in it, is passed over: what is needed of it has moved.
    ///
    /// - Parameter refreshing: as of `elsewhere`.
    func withPlace<Result>(
        of id: ChunkID,
        refreshing: Bool = false,
        _ read: (IndexRecord) async throws -> Result
    ) async throws -> Result {
        guard let record = index.find(id) else { throw missingChunk(id) }
        do {
            return try await read(record)
        } catch let error as HawserError where error.code == .notFound {
            let pack = index.pack(record.packNumber)
            let found = try await elsewhere(id, besides: pack, refreshing: refreshing) { other -> Result? in
                do {
                    return try await read(other)
                } catch let another as HawserError where another.code == .notFound {
                    return nil
                }
            }
            guard let found else { throw error }
            return found
        }
    }

    /// Reads a chunk where else it lies, for whoever has not found a pack.
    ///
    /// - Parameters:
    ///   - refreshing: whether to look for places that are younger than the index, too: a prune may have moved the chunk and
    ///     deleted the pack since. Only for who does not count on an index that stays as it is.
    ///   - read: gives `nil` when it is not there either.
    public func elsewhere<Result>(
        _ id: ChunkID,
        besides pack: PackReference,
        refreshing: Bool = true,
        _ read: (IndexRecord) async throws -> Result?
    ) async throws -> Result? {
        var tried: Set = [pack.name]
        for isRefreshed in refreshing ? [false, true] : [false] {
            if isRefreshed {
                // What can't be looked for is not found elsewhere; a storage that is away ends the work.
                do { try await refreshIndex() } catch let error as HawserError where error.code != .unavailable {
                    break
                }
            }
            for record in index.findAll(id) where tried.insert(index.pack(record.packNumber).name).inserted {
                if let found = try await read(record) { return found }
            }
        }
        return nil
    }

    /// What is lost is not looked for again and again.
    private static let refreshPause = Duration.seconds(600)

    func refreshIndex() async throws {
        try await index.refreshing.withReservation(1) {
            guard index.beginsRefresh(after: Self.refreshPause) else { return }
            let later = try await ChunkIndex.load(from: target, objects: objects, cache: cache)
            try index.add(later, in: cache)
        }
    }

    /// Why a chunk that something needs is not in the index.
    public func missingChunk(_ id: ChunkID) -> HawserError {
        if index.cacheIsDamaged {
            let isGone = cache.discardIndex()
            return HawserError(
                .damaged,
                isGone
                    ? "The local cache was damaged and has been removed. Run the command again."
                    : "The local cache is damaged and can't be removed. Run the command again with --no-cache.",
                isRetryable: isGone
            )
        }
        let hint = index.damagedSegments.isEmpty ? "" : " Index segments are damaged: run «hawser repair index»."
        return HawserError(.damaged, "A chunk is missing from the index." + hint, place: id.hex)
    }
}
