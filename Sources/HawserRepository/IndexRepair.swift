public import HawserFormat
import HawserStorage
import HawserTransfer

/// What making the index anew came to.
public struct IndexRepairSummary: Sendable {
    public var packs = 0
    public var chunks: UInt64 = 0
    /// Bytes of the packs that are in the new index.
    public var storedBytes: UInt64 = 0
    public var segmentsWritten = 0
    /// Old segments that count no more; `prune` deletes them.
    public var segmentsReplaced = 0
    /// Packs that can't be read and are not in the new index.
    public var unreadable: [ObjectKey: HawserError] = [:]
}

public struct IndexRepairProgress: Sendable {
    public var packsRead: Int
    public var packs: Int
}

extension Repository {
    /// Makes the index anew from what the packs say about themselves, whatever is left of the old one.
    ///
    /// The old segments count until the last object is written, which replaces them all: a run that is killed has
    /// changed nothing. Backups may go on meanwhile. Open the repository again to use the new index.
    /// - Throws: `unsupported` when only a newer version may write; errors of the storage.
    @discardableResult
    public func repairIndex(
        progress: @Sendable (IndexRepairProgress) -> Void = { _ in }
    ) async throws -> IndexRepairSummary {
        try requireWritable()
        // The segments first: a pack is durable before its segment, so that the packs of all of these are found below.
        let old = try await ChunkIndex.segments(in: target)
        var packs: [PackReference] = []
        for kind in [ObjectKind.dataPack, .metadataPack] {
            for try await info in target.list(kind) {
                if let pack = PackReference(info.key, length: info.length) { packs.append(pack) }
            }
        }
        var summary = IndexRepairSummary()
        for kind in [ObjectKind.dataIndex, .metadataIndex] {
            let replaced = old.filter { $0.value.kind == kind }.keys.sorted()
            try await writeIndex(
                kind,
                of: packs.filter { $0.indexKind == kind },
                replacing: replaced,
                &summary
            ) { read in progress(IndexRepairProgress(packsRead: read, packs: packs.count)) }
        }
        cache.discardIndex()
        return summary
    }

    private func writeIndex(
        _ kind: ObjectKind,
        of packs: [PackReference],
        replacing old: [ObjectName],
        _ summary: inout IndexRepairSummary,
        progress: (Int) -> Void
    ) async throws {
        var batch = SegmentBatch()
        var failed: Set<ObjectName> = []
        try await withBoundedTasks(over: packs, width: Parallelism.requests) { pack in
            try await readFooter(of: pack)
        } take: { result in
            switch result {
            case .gone: break
            case .failed(let key, let error):
                // Only what a pack itself is to blame for: an index without packs that are there would lose data.
                guard error.code == .damaged else { throw error }
                summary.unreadable[key] = error
                if let name = key.name { failed.insert(name) }
            case .read(let pack):
                summary.packs += 1
                summary.chunks += UInt64(pack.records.count)
                summary.storedBytes += UInt64(pack.pack.length)
                if let full = batch.append(pack) {
                    _ = try await storeSegment(kind: kind, packs: full.map { ($0.pack, $0.records) })
                    summary.segmentsWritten += 1
                }
            }
            progress(summary.packs + summary.unreadable.count)
        }
        // What the old index says of packs with a damaged footer may be all that leads to their chunks.
        for pack in try indexedPacks(failed) {
            if let full = batch.append(pack) {
                _ = try await storeSegment(kind: kind, packs: full.map { ($0.pack, $0.records) })
                summary.segmentsWritten += 1
            }
        }
        // The last segment of packs and the replacement are one object; more than fit go into empty ones.
        var rest = old[...]
        var last = batch.packs
        while !last.isEmpty || !rest.isEmpty {
            let replaced = Array(rest.prefix(IndexSegment.replacesLimit))
            rest = rest.dropFirst(replaced.count)
            _ = try await storeSegment(kind: kind, packs: last.map { ($0.pack, $0.records) }, replaces: replaced)
            summary.segmentsWritten += 1
            summary.segmentsReplaced += replaced.count
            last = []
        }
    }

    /// Packs with their chunks as the opened index has them; of those that it does not know, nothing.
    private func indexedPacks(_ names: Set<ObjectName>) throws -> [IndexedPack] {
        let packs = index.packs
        let numbers = packs.indices.filter { names.contains(packs[$0].name) }.map { UInt32($0) }
        return try index.records(inPacks: Set(numbers)).sorted { $0.key < $1.key }.map { number, records in
            IndexedPack(pack: packs[Int(number)], records: records.sorted { $0.offset < $1.offset })
        }
    }

    /// - Throws: `unsupported` when a newer version has written something that this one can't keep up.
    func requireWritable() throws {
        if isReadOnly {
            throw HawserError(.unsupported, "A newer version has written this repository: this one can only read it.")
        }
    }
}
