public import HawserFormat
import HawserStorage
import Synchronization

/// All chunks of a repository, and what this process has stored since: the answer to «is it there, and where».
///
/// Records of the repository's segments lie in memory-mapped runs; only what was stored since the last segment is in
/// memory. Every call is short and takes one lock.
public final class ChunkIndex: Sendable {
    /// A durable pack that no segment names yet.
    struct UnsavedPack {
        var pack: PackReference
        var number: UInt32
        var records: [BlobRecord]
    }

    struct State {
        var packs: [PackReference] = []
        var runs: [IndexRun] = []
        /// Stored, in no segment yet, whichever writer of this process did it: a snapshot that uses one of these chunks
        /// must see to it that a segment names it.
        var unsaved: [UnsavedPack] = []
        var recent: [ChunkID: IndexRecord] = [:]
        var condemned: Set<UInt32> = []
        /// Packs that are known not to be there.
        var gone: Set<UInt32> = []
        var cacheIsDamaged = false
        /// Segments that can't be read: their chunks are missing here.
        var damagedSegments: [ObjectKey: HawserError] = [:]
        /// When it was last brought up to date, if it ever was.
        var refreshed: ContinuousClock.Instant?
    }

    let state: Mutex<State>
    private let loaded: ContinuousClock.Instant

    /// - Parameter loaded: when its segments were listed.
    init(_ state: sending State, loaded: ContinuousClock.Instant = .now) {
        self.state = Mutex(state)
        self.loaded = loaded
    }

    /// How old its knowledge is, the time counted for which the machine slept.
    var age: Duration { .now - loaded }

    /// Where the chunk lies; the pack number is one of `pack(_:)`.
    ///
    /// A pack that is marked for deletion comes last: it may be gone, or be kept because a snapshot needs it.
    public func find(_ id: ChunkID) -> IndexRecord? {
        state.withLock { $0.find(id) ?? $0.find(id, isCondemned: true) }
    }

    /// Where the chunk lies as far as a new snapshot may count on it: not in a pack that is marked for deletion.
    func findLasting(_ id: ChunkID) -> IndexRecord? {
        state.withLock { $0.find(id) }
    }

    public func pack(_ number: UInt32) -> PackReference {
        state.withLock { $0.packs[Int(number)] }
    }

    /// Bytes of all packs.
    public var storedBytes: UInt64 { state.withLock { $0.packs.reduce(0) { $0 + UInt64($1.length) } } }

    /// Records of packs that are marked for deletion count as absent from now on.
    public func condemn(_ names: Set<ObjectName>) {
        state.withLock { state in
            for (number, pack) in state.packs.enumerated() where names.contains(pack.name) {
                state.condemned.insert(UInt32(number))
            }
        }
    }

    /// Records of these packs are absent from now on, for every use.
    func drop(_ numbers: Set<UInt32>) {
        state.withLock { $0.gone.formUnion(numbers) }
    }

    /// Enters a pack that the storage has confirmed.
    ///
    /// - Parameter isSaved: whether a segment names it already; its records then come by `retire`.
    /// - Returns: its number.
    func add(_ pack: PackReference, _ records: [BlobRecord], isSaved: Bool = false) -> UInt32 {
        state.withLock { state in
            let number = UInt32(state.packs.count)
            state.packs.append(pack)
            if isSaved { return number }
            state.unsaved.append(UnsavedPack(pack: pack, number: number, records: records))
            for record in records { state.recent[record.id] = IndexRecord(blob: record, packNumber: number) }
            return number
        }
    }

    /// One writer at a time makes segments: whoever has waited may rely on all packs before being in one.
    let saving = ByteBudget(total: 1)

    /// Whoever has waited may find that another one has brought it up to date.
    let refreshing = ByteBudget(total: 1)

    /// Whether to bring it up to date now: not when that was tried within `pause`.
    func beginsRefresh(after pause: Duration) -> Bool {
        state.withLock { state in
            if let last = state.refreshed, .now - last < pause { return false }
            state.refreshed = .now
            return true
        }
    }

    /// How many packs no segment names yet, with their bytes and records.
    var unsavedAmount: (bytes: Int, records: Int) {
        state.withLock { state in
            state.unsaved.reduce((0, 0)) { ($0.0 + Int($1.pack.length), $0.1 + $1.records.count) }
        }
    }

    func takeUnsaved() -> [UnsavedPack] {
        state.withLock { state in
            defer { state.unsaved = [] }
            return state.unsaved
        }
    }

    func putBack(_ packs: some Sequence<UnsavedPack>) {
        let packs = Array(packs)
        state.withLock { $0.unsaved += packs }
    }

    /// The records of recent packs have been written to segments: they move from memory to a run.
    func retire(_ records: [IndexRecord], in cache: RepositoryCache) throws {
        let run = try cache.makeRun(named: nil, count: records.count) { writer in
            for record in records { writer.append(record) }
        }
        state.withLock { state in
            state.runs.append(run)
            // It may have been stored again meanwhile, in another pack.
            for record in records where state.recent[record.blob.id]?.packNumber == record.packNumber {
                state.recent[record.blob.id] = nil
            }
        }
        compact(in: cache)
    }

    /// Merges runs while look-ups go on in the old ones.
    private func compact(in cache: RepositoryCache) {
        while let members = state.withLock({ IndexCompaction.due($0.runs) }) {
            // Without room, or with a damaged run, all stay as they are: a look-up that meets the damage deals with it.
            guard let merged = try? IndexCompaction.merge(members, named: nil, in: cache) else { return }
            let isReplaced = state.withLock { state in
                let rest = state.runs.filter { run in !members.contains { $0 === run } }
                // A look-up may have dropped a damaged one, or another task have merged them.
                guard rest.count + members.count == state.runs.count else { return false }
                state.runs = rest + [merged]
                return true
            }
            if !isReplaced { return }
        }
    }

    /// Whether a part of the cache could not be used, so that an absent chunk may exist after all.
    public var cacheIsDamaged: Bool { state.withLock { $0.cacheIsDamaged } }

    /// Segments that can't be read, with the reason. Chunks that only they name are absent here.
    public var damagedSegments: [ObjectKey: HawserError] { state.withLock { $0.damagedSegments } }
}

extension ChunkIndex.State {
    /// - Parameter isCondemned: whether it is to lie in a pack that is marked for deletion, or in one that is not.
    mutating func find(_ id: ChunkID, isCondemned: Bool = false) -> IndexRecord? {
        if let record = recent[id], condemned.contains(record.packNumber) == isCondemned,
            !gone.contains(record.packNumber)
        {
            return record
        }
        for position in runs.indices.reversed() {
            var found: IndexRecord?
            do {
                try runs[position].find(id) { record in
                    guard condemned.contains(record.packNumber) == isCondemned, Int(record.packNumber) < packs.count,
                        !gone.contains(record.packNumber)
                    else { return false }
                    found = record
                    return true
                }
            } catch {
                // Only this machine's copy is damaged: without it chunks are stored again, which is safe.
                cacheIsDamaged = true
                runs.remove(at: position)
                return find(id, isCondemned: isCondemned)
            }
            if let found { return found }
        }
        return nil
    }
}

/// Keeps the number of runs small: eight of about one size become one of the next.
enum IndexCompaction {
    /// Merging eight at a time touches each record once per power of eight.
    private static let fanIn = 8

    /// - Returns: runs that should become one, or `nil` when there are few enough of each size.
    static func due(_ runs: [IndexRun]) -> [IndexRun]? {
        Dictionary(grouping: runs, by: sizeClass).values.first { $0.count >= fanIn }
    }

    static func merge(_ runs: [IndexRun], named name: String?, in cache: RepositoryCache) throws -> IndexRun {
        try cache.makeRun(named: name, count: runs.reduce(0) { $0 + $1.recordCount }) { writer in
            var merge = try IndexMerge(runs)
            while let record = try merge.next() { writer.append(record) }
        }
    }

    private static func sizeClass(_ run: IndexRun) -> Int {
        // Runs below this size are cheap whatever they are, so they share a class.
        let smallest = 1 << 12
        return (Int.bitWidth - max(run.recordCount, smallest).leadingZeroBitCount) / 3
    }
}
