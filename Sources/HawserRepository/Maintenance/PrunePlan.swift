import HawserFormat

/// What a collector knows of the packs, at their places.
struct PackFacts: Sendable {
    let table: PackTable
    /// Long enough in the storage that no session can have it that nothing else names.
    var old: PackBits
    /// By refs of living snapshots and checkpoints.
    var named: PackBits
    /// By refs of what may become a snapshot yet: nobody knows which of their chunks it needs.
    var unclear: PackBits
    var condemned: PackBits
    /// Its chunks are in the index.
    var indexed: PackBits
    /// All chunks in it, bytes.
    var bytes: [UInt32]
    /// Of these, the ones that something needs and that no better copy is of.
    var usedBytes: [UInt32]
    var usedChunks: [UInt32]

    init(_ table: PackTable) {
        self.table = table
        let none = PackBits(count: table.count)
        (old, named, unclear, condemned, indexed) = (none, none, none, none, none)
        bytes = Array(repeating: 0, count: table.count)
        (usedBytes, usedChunks) = (bytes, bytes)
    }

    /// Counts every chunk where it lies, and used ones in the one place that they are to stay in.
    ///
    /// - Parameters:
    ///   - places: of the index's pack numbers; `nil` for packs that are not in the table.
    ///   - later: numbers of packs that came after it.
    /// - Returns: used chunks, their bytes, and how many are in no pack that is there.
    mutating func count(_ used: UsedChunks, places: [Int?], later: Set<UInt32>) throws -> (
        chunks: UInt64, bytes: UInt64, lost: UInt64
    ) {
        // The pack of which most is needed keeps a chunk that several have: so the others become empty.
        var weight = [UInt32](repeating: 0, count: table.count)
        try used.forEachChunk { isUsed, records in
            for record in records {
                guard let place = places[Int(record.packNumber)] else { continue }
                indexed[place] = true
                bytes[place] &+= record.blob.storedLength
                if isUsed { weight[place] &+= record.blob.storedLength }
            }
        }
        var (chunks, sum, lost) = (UInt64(0), UInt64(0), UInt64(0))
        try used.forEachChunk { isUsed, records in
            guard isUsed else { return }
            let best = records.compactMap { record in
                places[Int(record.packNumber)].map { (place: $0, length: record.blob.storedLength) }
            }.max { left, right in
                (rank(left.place), weight[left.place], right.place) < (
                    rank(right.place), weight[right.place], left.place
                )
            }
            guard let best else {
                if !records.contains(where: { later.contains($0.packNumber) }) { lost += 1 }
                return
            }
            chunks += 1
            sum += UInt64(best.length)
            usedBytes[best.place] &+= best.length
            usedChunks[best.place] += 1
        }
        return (chunks, sum, lost)
    }

    /// How sure it is that a pack stays.
    private func rank(_ place: Int) -> Int {
        condemned[place] ? 0 : named[place] ? 2 : 1
    }
}

/// What a collector means to do. Pure.
struct PrunePlan: Sendable {
    /// Nothing needs them: to be marked.
    var useless: [Int] = []
    /// To be marked when what is needed of them is in other packs, and when the refs of all snapshots that name them
    /// say so. Some are of no use but named.
    var rewritten: [Int] = []
    /// Needed, but no refs name them: as where a backup has stored again what was lost. All snapshots' refs are to.
    var adopted: [Int] = []
    /// Used chunks that are moved, bytes.
    var movedBytes: UInt64 = 0
    var unusedBytesLeft: UInt64 = 0
    /// What is not needed, and too young to be marked: bytes of chunks.
    var youngBytes: UInt64 = 0

    init() {}

    /// Fewer small packs than this are not worth writing again; joined they make one that is no longer small, or one of
    /// the next such group.
    private static let fewest = 8

    /// - Parameters:
    ///   - smallBelow: packs that are shorter are joined, by whether they are metadata.
    ///   - canRewrite: false when it is not known what the trees need: then only what no refs name goes.
    init(
        _ facts: PackFacts,
        maxUnused: PruneOptions.MaxUnused,
        smallBelow: (_ isMetadata: Bool) -> UInt32,
        canRewrite: Bool
    ) {
        var partly: [Int] = []
        var small: [Bool: [Int]] = [:]
        var (used, unused) = (UInt64(0), UInt64(0))
        for (place, pack) in facts.table.packs.enumerated() {
            let needed = facts.usedChunks[place] > 0
            if canRewrite, !facts.condemned[place],
                facts.unclear[place] || !needed && !facts.named[place] && !facts.old[place]
            {
                youngBytes += UInt64(facts.bytes[place] - facts.usedBytes[place])
            }
            if facts.unclear[place] || !canRewrite && (needed || facts.named[place]) { continue }
            if facts.condemned[place] {
                // It was marked while a session took it up: what is needed of it moves, however much that is.
                if needed || facts.named[place] { rewritten.append(place) }
            } else if !needed, !facts.named[place] {
                if facts.old[place] { useless.append(place) }
            } else if facts.indexed[place] {
                if !facts.named[place] { adopted.append(place) }
                used += UInt64(facts.usedBytes[place])
                unused += UInt64(facts.bytes[place] - facts.usedBytes[place])
                if !facts.old[place] { continue }
                if !needed {
                    rewritten.append(place)
                    unused -= UInt64(facts.bytes[place])
                } else if facts.usedBytes[place] < facts.bytes[place] {
                    partly.append(place)
                } else if pack.length < smallBelow(pack.isMetadata) {
                    small[pack.isMetadata, default: []].append(place)
                }
            }
        }
        // Those with the smallest share that is needed first: they give most for what they cost.
        func share(_ place: Int) -> Double { Double(facts.usedBytes[place]) / Double(facts.bytes[place]) }
        partly.sort { (share($0), $0) < (share($1), $1) }
        let limit = Self.limit(maxUnused, used: used)
        for place in partly {
            if unused <= limit { break }
            rewritten.append(place)
            unused -= UInt64(facts.bytes[place] - facts.usedBytes[place])
        }
        for places in small.values where places.count >= Self.fewest { rewritten += places }
        rewritten.sort()
        adopted.removeAll(where: Set(rewritten).contains)
        movedBytes = rewritten.reduce(0) { $0 + UInt64(facts.usedBytes[$1]) }
        unusedBytesLeft = unused
    }

    /// These could not be emptied.
    mutating func stay(_ places: [Int], _ facts: PackFacts) {
        rewritten.removeAll(where: Set(places).contains)
        adopted += places.filter { !facts.named[$0] && !facts.condemned[$0] }
    }

    /// Leaves these as they are.
    mutating func keep(_ places: Set<Int>, _ facts: PackFacts) {
        useless.removeAll(where: places.contains)
        rewritten.removeAll(where: places.contains)
        movedBytes = rewritten.reduce(0) { $0 + UInt64(facts.usedBytes[$1]) }
        unusedBytesLeft += places.reduce(0) { $0 + UInt64(facts.bytes[$1] - facts.usedBytes[$1]) }
    }

    private static func limit(_ maxUnused: PruneOptions.MaxUnused, used: UInt64) -> UInt64 {
        switch maxUnused {
        case .unlimited: return .max
        case .bytes(let bytes): return bytes
        case .share(let share):
            // Of used and unused together.
            guard share < 1 else { return .max }
            return UInt64(max(0, share) / (1 - max(0, share)) * Double(used))
        }
    }
}
