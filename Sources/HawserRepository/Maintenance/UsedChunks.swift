import HawserFormat
import HawserStorage

/// Which chunks something needs: one bit for each record of a whole index that lies in a mapped file.
///
/// Memory for 100 million records: 12.5 MB of bits, and as much for the run's checked pages; the file's 4.8 GB are
/// pages of the kernel's cache. What a tree reaches is visited once by the same bits, however many snapshots share it.
struct UsedChunks {
    private let run: IndexRun
    private var bits: PackBits

    init(_ index: ChunkIndex, cache: RepositoryCache) throws {
        do {
            run = try index.mergedRun(in: cache)
            // From here on it is only read, so that many tasks may ask at a time.
            try run.checkAllPages()
        } catch let error as HawserError where error.code == .damaged {
            cache.discardIndex()
            throw HawserError(
                .damaged,
                "The local cache was damaged and has been removed. Run the command again.",
                cause: error,
                isRetryable: true
            )
        }
        bits = PackBits(count: run.recordCount)
    }

    enum Mark {
        case new, known
        /// The index does not have it.
        case absent
    }

    mutating func mark(_ id: ChunkID) throws -> Mark {
        guard let position = try run.firstPosition(of: id) else { return .absent }
        if bits[position] { return .known }
        bits[position] = true
        return .new
    }

    func isUsed(_ id: ChunkID) throws -> Bool {
        guard let position = try run.firstPosition(of: id) else { return false }
        return bits[position]
    }

    /// Calls `body` for each chunk with all of its places, in order of ids.
    func forEachChunk(_ body: (_ isUsed: Bool, _ places: [IndexRecord]) throws -> Void) throws {
        var group: [IndexRecord] = []
        var first = 0
        for position in 0..<run.recordCount {
            let record = try run.record(at: position)
            if let last = group.last, last.blob.id != record.blob.id {
                try body(bits[first], group)
                group.removeAll(keepingCapacity: true)
            }
            if group.isEmpty { first = position }
            group.append(record)
        }
        if !group.isEmpty { try body(bits[first], group) }
    }

    /// Marks all that the trees below `roots` consist of.
    ///
    /// - Returns: how many chunks the index does not have, and whether every node could be read.
    mutating func markTrees(
        _ roots: [TreeNode],
        in repository: Repository,
        progress: (_ nodes: Int) -> Void
    ) async throws -> (missing: UInt64, isWhole: Bool) {
        var missing: UInt64 = 0
        var isWhole = true
        var nodes = 0
        let walk = NodeWalk<[ChunkID]?>(reader: NodeReader(repository)) { _, content in
            (try? content.get()).map { $0.dataChunks.map(\.id) }
        }
        try await walk.run(roots) { node in
            // A node that the index does not have fails when it is read.
            try mark(node.key.id) != .known
        } take: { _, chunks, _ in
            nodes += 1
            progress(nodes)
            guard let chunks else {
                isWhole = false
                missing += 1
                return
            }
            for id in chunks where try mark(id) == .absent { missing += 1 }
        }
        return (missing, isWhole)
    }
}
