import HawserFormat
import Synchronization

extension ChunkIndex {
    /// All packs, at their numbers.
    var packs: [PackReference] { state.withLock { $0.packs } }

    /// Those of `keys` that no pack of this index has.
    func keysWithoutPack(_ keys: Set<ObjectKey>) -> Set<ObjectKey> {
        if keys.isEmpty { return keys }
        return state.withLock { state in
            var rest = keys
            for pack in state.packs { rest.remove(pack.key) }
            return rest
        }
    }

    /// All places of a chunk, the one that `find` gives first.
    func findAll(_ id: ChunkID) -> [IndexRecord] {
        state.withLock { state in
            guard let first = state.find(id) ?? state.find(id, isCondemned: true) else { return [] }
            var all = [first]
            for run in state.runs.reversed() {
                // What can't be read here has been noted by `find`.
                try? run.find(id) { record in
                    if !all.contains(record), !state.gone.contains(record.packNumber) { all.append(record) }
                    return false
                }
            }
            return all
        }
    }

    /// Takes in the packs that a later index of the same repository has and this one does not have.
    ///
    /// - Throws: `damaged` when the cached index is.
    func add(_ later: ChunkIndex, in cache: RepositoryCache) throws {
        let known = state.withLock { state in
            Set(state.packs.enumerated().filter { !state.gone.contains(UInt32($0.offset)) }.map(\.element.name))
        }
        let new = later.packs.enumerated().filter { !known.contains($0.element.name) }
        let numbers = state.withLock { state in
            let first = state.packs.count
            state.packs += new.map(\.element)
            return Dictionary(uniqueKeysWithValues: zip(new.map { UInt32($0.offset) }, UInt32(first)...))
        }
        do {
            var count = 0
            try later.forEachRecord { if numbers[$0.packNumber] != nil { count += 1 } }
            if count == 0 { return }
            let run = try cache.makeRun(named: nil, count: count) { writer in
                try later.forEachRecord { record in
                    guard let number = numbers[record.packNumber] else { return }
                    writer.append(IndexRecord(blob: record.blob, packNumber: number))
                }
            }
            state.withLock { $0.runs.append(run) }
        } catch {
            // Packs without their records would never get them.
            drop(Set(numbers.values))
            throw error
        }
    }

    /// How many chunks each pack has, at the packs' numbers.
    ///
    /// - Throws: `damaged` when the cached index is.
    func chunkCounts() throws -> [Int] {
        var counts = [Int](repeating: 0, count: packs.count)
        try forEachRecord { record in
            if Int(record.packNumber) < counts.count { counts[Int(record.packNumber)] += 1 }
        }
        return counts
    }

    /// The chunks of some packs.
    func records(inPacks numbers: Set<UInt32>) throws -> [UInt32: [BlobRecord]] {
        var records: [UInt32: [BlobRecord]] = [:]
        if numbers.isEmpty { return records }
        try forEachRecord { record in
            if numbers.contains(record.packNumber) { records[record.packNumber, default: []].append(record.blob) }
        }
        return records
    }

    /// All records in one run, each once. A file of 48 bytes a record for as long as it is used, and no memory.
    func mergedRun(in cache: RepositoryCache) throws -> IndexRun {
        var count = 0
        try forEachRecord { _ in count += 1 }
        return try cache.makeRun(named: nil, count: count) { writer in
            // Nothing is added meanwhile to what is merged: an index that is only read has one owner.
            try forEachRecord { writer.append($0) }
        }
    }

    /// Every record of the repository's segments in ascending order of ids, each once.
    private func forEachRecord(_ body: (IndexRecord) -> Void) throws {
        var merge = try IndexMerge(state.withLock { $0.runs })
        var group: [IndexRecord] = []
        while let record = try merge.next() {
            if group.first?.blob.id != record.blob.id { group.removeAll(keepingCapacity: true) }
            // Two segments can name one pack: a repaired index and a journal's.
            guard !group.contains(record) else { continue }
            group.append(record)
            body(record)
        }
    }
}
