public import HawserFormat
import HawserStorage
import HawserTransfer

/// What the next run found of runs that were killed.
public struct JournalRecovery: Sendable {
    /// Packs that can be used again.
    public var packs = 0
    public var chunks = 0
    /// Of those packs.
    public var storedBytes: UInt64 = 0
    /// Packs that can't be read. Nothing needs them: what was in them is stored again.
    public var damaged: [ObjectKey: HawserError] = [:]
}

extension Repository {
    /// Indexes the packs that killed sessions of this machine had stored before any index segment named them, so that
    /// their chunks are not stored again.
    ///
    /// To be called when a backup begins. Journals of sessions that live are left alone. A pack that is marked for
    /// deletion or gone does not count.
    /// - Throws: when the storage fails; the journals stay for the next run.
    public func recoverJournalledPacks() async throws -> JournalRecovery {
        var recovery = JournalRecovery()
        if isReadOnly { return recovery }
        let (journalled, files) = PackJournal.leftovers(in: cache)
        if files.isEmpty { return recovery }
        let missing = index.keysWithoutPack(journalled)
        let condemned = missing.isEmpty ? [] : try await condemnedPacks()
        let wanted = missing.filter { key in key.name.map { !condemned.contains($0) } ?? false }
        for kind in [ObjectKind.dataPack, .metadataPack] {
            try await recover(wanted.filter { $0.kind == kind }.sorted(), &recovery)
        }
        PackJournal.remove(files)
        return recovery
    }

    private func recover(_ keys: [ObjectKey], _ recovery: inout JournalRecovery) async throws {
        var batch = SegmentBatch()
        try await withBoundedTasks(over: keys, width: Parallelism.requests) { key -> FooterReading in
            guard let info = try await target.head(key), let pack = PackReference(key, length: info.length) else {
                return .gone
            }
            return try await readFooter(of: pack)
        } take: { result in
            switch result {
            case .gone: break
            case .failed(let key, let error):
                guard error.code == .damaged else { throw error }
                recovery.damaged[key] = error
            case .read(let pack):
                recovery.packs += 1
                recovery.chunks += pack.records.count
                recovery.storedBytes += UInt64(pack.pack.length)
                if let full = batch.append(pack) { try await enter(full) }
            }
        }
        try await enter(batch.packs)
    }

    /// Writes a segment of packs that were found in the storage, and enters them into the index of this process.
    private func enter(_ packs: [IndexedPack]) async throws {
        guard let kind = packs.first?.pack.indexKind else { return }
        let object = try await storeSegment(kind: kind, packs: packs.map { ($0.pack, $0.records) })
        cache.keepSegment(object.sha256, object.bytes)
        var records: [IndexRecord] = []
        for pack in packs {
            let number = index.add(pack.pack, pack.records, isSaved: true)
            records += pack.records.map { IndexRecord(blob: $0, packNumber: number) }
        }
        records.sort { $0.blob.id < $1.blob.id }
        try index.retire(records, in: cache)
    }
}

/// Gathers packs until they fill an index segment.
struct SegmentBatch {
    private(set) var packs: [IndexedPack] = []
    private var recordCount = 0

    /// Half of what a segment holds, so that making it needs no more memory than in a backup.
    private static let limit = IndexSegment.recordLimit / 2

    /// - Returns: packs that are due to be written before this one.
    mutating func append(_ pack: IndexedPack) -> [IndexedPack]? {
        var full: [IndexedPack]?
        if !packs.isEmpty, recordCount + pack.records.count > Self.limit {
            full = packs
            packs = []
            recordCount = 0
        }
        packs.append(pack)
        recordCount += pack.records.count
        return full
    }
}
