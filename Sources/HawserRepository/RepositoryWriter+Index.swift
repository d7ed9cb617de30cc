import HawserFormat
import HawserStorage
import HawserTransfer

extension RepositoryWriter {
    // Whichever comes first (docs/format.md, Index): so much is stored again at most after a crash without the cache.
    private static let saveInterval = Duration.seconds(300)
    private static let saveBytes = 1 << 30
    // In memory a record and its place in the table cost 200 bytes.
    private static let saveRecords = 128 << 10

    func saveIndexIfDue() async throws {
        let (bytes, records) = index.unsavedAmount
        let isDue = ContinuousClock.now - lastSave > Self.saveInterval
        if isDue || bytes > Self.saveBytes || records > Self.saveRecords { try await saveIndex() }
    }

    /// Writes all stored packs that no segment names yet to segments.
    func saveIndex() async throws {
        try await index.saving.withReservation(1) { try await saveAll() }
    }

    private func saveAll() async throws {
        lastSave = .now
        var left = index.takeUnsaved()
        defer { index.putBack(left) }
        for isMetadata in [false, true] {
            while true {
                var count = 0
                let part = left.filter { $0.pack.isMetadata == isMetadata }.prefix { pack in
                    defer { count += pack.records.count }
                    return count == 0 || count + pack.records.count <= IndexSegment.recordLimit
                }
                if part.isEmpty { break }
                try await save(Array(part), kind: isMetadata ? .metadataIndex : .dataIndex)
                let saved = Set(part.map(\.number))
                left.removeAll { saved.contains($0.number) }
            }
        }
    }

    private func save(_ packs: [ChunkIndex.UnsavedPack], kind: ObjectKind) async throws {
        let object = try await repository.storeSegment(kind: kind, packs: packs.map { ($0.pack, $0.records) })
        repository.cache.keepSegment(object.sha256, object.bytes)
        var records = packs.flatMap { pack in
            pack.records.map { IndexRecord(blob: $0, packNumber: pack.number) }
        }
        records.sort { $0.blob.id < $1.blob.id }
        try index.retire(records, in: repository.cache)
    }
}

extension Repository {
    @concurrent
    func storeSegment(
        kind: ObjectKind,
        packs: [(pack: PackReference, records: [BlobRecord])],
        replaces: [ObjectName] = []
    ) async throws -> SealedObject {
        let records = packs.enumerated().flatMap { number, pack in
            pack.records.map { IndexRecord(blob: $0, packNumber: UInt32(number)) }
        }
        let segment = try IndexSegment(
            kind: kind == .dataIndex ? .data : .metadata,
            packs: packs.map { IndexSegment.PackInfo(name: $0.pack.name, length: $0.pack.length) },
            records: records,
            replaces: replaces
        )
        let bytes = try segment.encode(objects)
        let object = SealedObject(kind: kind, bytes: bytes)
        _ = try await target.store(object)
        return object
    }
}
