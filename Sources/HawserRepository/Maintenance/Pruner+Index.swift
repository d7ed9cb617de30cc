import HawserFormat
import HawserStorage
import HawserTransfer

extension Pruner {
    /// Segments of fewer records are joined once there are so many of a kind.
    private static let smallSegment = IndexSegment.recordLimit / 4
    private static let smallSegments = 8
    /// A mark stays so long after its packs are deleted, for whoever has read the index before.
    static let markAge = Duration.seconds(30 * 86_400)

    /// A segment that counts, without its records.
    private struct Header: Sendable {
        var name: ObjectName
        var stored: Timestamp?
        var records: Int
        var packs: [PackReference]
        var replaces: [ObjectName]
    }

    /// Takes deleted packs out of the index, joins small segments, deletes replaced ones and marks that have served.
    ///
    /// - Parameter indexed: the packs of the index as it was when the run began.
    func tidyIndex(_ indexed: [PackReference], _ state: inout State) async throws {
        report(PruneProgress(phase: .indexing))
        let gone = try await gonePacks(indexed, state)
        let knownReplaced = repository.cache.readManifest().replaced
        var areReplacedLeft = false
        for kind in [ObjectKind.dataIndex, .metadataIndex] {
            let listed = try await listed(kind)
            let names = Set(listed.compactMap(\.key.name))
            // What a segment names is in it alone: they are read when there is something to do.
            guard
                !names.isDisjoint(with: knownReplaced) || gone.contains(where: { $0.indexKind == kind })
                    || listed.count(where: { $0.length < Self.smallSegment * IndexRecord.byteCount })
                        >= Self.smallSegments
            else { continue }
            let headers = try await headers(listed, kind)
            let replaced = Set(headers.flatMap(\.replaces)).intersection(names)
            let living = headers.filter { !replaced.contains($0.name) }
            let isStale = { (header: Header) in header.packs.contains { gone.contains($0.key) } }
            let small = living.filter { $0.records < Self.smallSegment }
            var leaving = Set(living.filter(isStale).map(\.name))
            if small.count >= Self.smallSegments { leaving.formUnion(small.map(\.name)) }
            let written = try await replace(leaving, of: kind, without: gone, alsoReplacing: replaced, &state)

            // Replaced long enough ago by something that is there; and of several that replace it, by any.
            let settled = headers.filter { isOlder($0.stored, than: options.grace.deletionDelay) }
            var old = Set(settled.flatMap(\.replaces)).intersection(names)
            if options.grace.deletionDelay == .zero, written { old = replaced.union(leaving) }
            try await delete(old.sorted().map { .named(kind, $0) })
            state.summary.segmentsDeleted += old.count
            if old != replaced.union(leaving) { areReplacedLeft = true }
        }
        if state.summary.segmentsWritten > 0 || state.summary.segmentsDeleted > 0 { repository.cache.discardIndex() }
        try await removeMarks(named: Set(indexed.map(\.key)), areReplacedLeft: areReplacedLeft, &state)
    }

    /// Packs that the index names and that are not in the storage. Those that were not listed are asked for: they may have
    /// come since; and those that another prune has marked meanwhile: it may have deleted them.
    private func gonePacks(_ indexed: [PackReference], _ state: State) async throws -> Set<ObjectKey> {
        var gone = state.deleted.intersection(indexed.map(\.key))
        let others = try await marks(besides: Set(state.marks.map(\.key))).flatMap(\.packs)
        let marked = Set(others.map(\.key))
        let doubtful = indexed.filter { state.table.place(of: $0) == nil || marked.contains($0.key) }.map(\.key)
        gone.formUnion(try await repository.target.absent(of: doubtful))
        return gone
    }

    private func headers(_ listed: [ObjectInfo], _ kind: ObjectKind) async throws -> [Header] {
        var headers: [Header] = []
        for info in listed {
            let found: IndexSegment?
            do {
                found = try await segment(info.key, kind)
            } catch let error as HawserError where error.code == .damaged {
                // It counts no more, or the index would not have been whole: what has replaced it says when it goes.
                continue
            }
            guard let segment = found, let name = info.key.name else { continue }
            headers.append(
                Header(
                    name: name,
                    stored: info.stored,
                    records: segment.records.count,
                    packs: segment.packs.map { pack in
                        PackReference(name: pack.name, length: pack.length, isMetadata: kind == .metadataIndex)
                    },
                    replaces: segment.replaces
                )
            )
        }
        return headers
    }

    /// `nil` when it is gone.
    private func segment(_ key: ObjectKey, _ kind: ObjectKind) async throws -> IndexSegment? {
        do {
            return try IndexSegment(
                decoding: await repository.target.fetchVerified(key),
                kind: kind == .dataIndex ? .data : .metadata,
                sealer: repository.objects
            )
        } catch let error as HawserError where error.code == .notFound {
            return nil
        }
    }

    /// Writes segments with all that these have but for packs that are gone; the last of them replaces them.
    ///
    /// - Parameter replaced: by these: they must not come to life again when these are deleted.
    /// - Returns: whether anything was written.
    private func replace(
        _ names: Set<ObjectName>,
        of kind: ObjectKind,
        without gone: Set<ObjectKey>,
        alsoReplacing replaced: Set<ObjectName>,
        _ state: inout State
    ) async throws -> Bool {
        if names.isEmpty { return false }
        var batch = SegmentBatch()
        var seen: Set<ObjectName> = []
        for name in names.sorted() {
            guard let segment = try await segment(.named(kind, name), kind) else { continue }
            var packs: [UInt32: IndexedPack] = [:]
            for record in segment.records {
                let info = segment.packs[Int(record.packNumber)]
                let pack = PackReference(name: info.name, length: info.length, isMetadata: kind == .metadataIndex)
                if gone.contains(pack.key) || seen.contains(pack.name) { continue }
                packs[record.packNumber, default: IndexedPack(pack: pack, records: [])].records.append(record.blob)
            }
            for (_, pack) in packs.sorted(by: { $0.key < $1.key }) {
                seen.insert(pack.pack.name)
                if let full = batch.append(pack) {
                    _ = try await repository.storeSegment(kind: kind, packs: full.map { ($0.pack, $0.records) })
                    state.summary.segmentsWritten += 1
                }
            }
            report(PruneProgress(phase: .indexing, done: UInt64(seen.count)))
        }
        var rest = names.union(replaced).sorted()[...]
        var last = batch.packs
        while !last.isEmpty || !rest.isEmpty {
            let part = Array(rest.prefix(IndexSegment.replacesLimit))
            rest = rest.dropFirst(part.count)
            _ = try await repository.storeSegment(kind: kind, packs: last.map { ($0.pack, $0.records) }, replaces: part)
            state.summary.segmentsWritten += 1
            last = []
        }
        return true
    }

    /// A mark has served when its packs are gone for so long that nobody can have an index that names them.
    private func removeMarks(named: Set<ObjectKey>, areReplacedLeft: Bool, _ state: inout State) async throws {
        if areReplacedLeft { return }
        let age = Self.markAge + options.grace.deletionDelay
        let done = state.marks.filter { mark in
            isOlder(mark.since, than: age)
                && mark.packs.allSatisfy { state.table.place(of: $0) == nil && !named.contains($0.key) }
        }
        try await delete(done.map(\.key))
    }
}

extension ObjectKey {
    /// The kind of segments that name this pack.
    fileprivate var indexKind: ObjectKind { kind == .metadataPack ? .metadataIndex : .dataIndex }
}
