import HawserFormat
import HawserStorage
import HawserTransfer

extension ChunkIndex {
    /// Brings the cached index up to date with the repository's segments and opens it.
    ///
    /// A segment that can't be read is noted, not fatal: what it names may be found by `repair index`.
    ///
    /// - Parameter listed: the segments, if they were listed just now.
    static func load(
        from target: any DataMoverTarget,
        objects: ObjectSealer,
        cache: RepositoryCache,
        listed: [ObjectName: ListedSegment]? = nil
    ) async throws -> ChunkIndex {
        try await cache.withIndexLock {
            try await loadLocked(from: target, objects: objects, cache: cache, listed: listed)
        }
    }

    private static func loadLocked(
        from target: any DataMoverTarget,
        objects: ObjectSealer,
        cache: RepositoryCache,
        listed before: [ObjectName: ListedSegment]?
    ) async throws -> ChunkIndex {
        var before = before
        var loader = IndexLoader(manifest: cache.readManifest(), cache: cache)
        var isWhole = loader.openRuns()
        // A segment that is gone when it is fetched has been replaced since: the next listing shows by what.
        for isLastAttempt in [false, false, true] {
            let listed: [ObjectName: ListedSegment]
            // Another process of this machine may have taken in a segment that is younger than the list.
            if let given = before, loader.manifest.segments.isSubset(of: given.keys) {
                listed = given
            } else {
                listed = try await segments(in: target)
            }
            before = nil
            if !isWhole || !loader.manifest.segments.isSubset(of: listed.keys) { loader.startAnew() }
            isWhole = true
            do {
                try await loader.take(listed, from: target, objects: objects)
            } catch let error as HawserError where error.code == .damaged {
                // Only a merge of cached runs says so.
                loader.startAnew()
                try await loader.take(listed, from: target, objects: objects)
            }
            // A covered segment that another one replaces may name packs that are gone.
            if !loader.manifest.segments.isDisjoint(with: loader.manifest.replaced) {
                loader.startAnew(without: loader.manifest.replaced)
                try await loader.take(listed, from: target, objects: objects)
            }
            if isLastAttempt || !loader.missesListed { break }
        }
        return ChunkIndex(loader.finish())
    }

    /// All segments that the storage lists, replaced ones too.
    static func segments(in target: any DataMoverTarget) async throws -> [ObjectName: ListedSegment] {
        var listed: [ObjectName: ListedSegment] = [:]
        // Of data and of metadata: one request for both.
        for try await info in target.list(prefix: "index/") {
            if let name = info.key.name { listed[name] = ListedSegment(kind: info.key.kind, length: info.length) }
        }
        return listed
    }
}

struct ListedSegment: Sendable {
    var kind: ObjectKind
    /// Bytes.
    var length: Int
}

private struct IndexLoader {
    var manifest: IndexManifest
    let cache: RepositoryCache
    private var runs: [(name: String, run: IndexRun)] = []
    private var damaged: [ObjectKey: HawserError] = [:]
    private var changed = false
    /// Names of all runs that were made here.
    private var made: [String] = []

    /// Up to this size the whole cache is checked when it is opened (a tenth of a second); a larger one page by page.
    private static let checkedRecords = 4 << 20

    init(manifest: IndexManifest, cache: RepositoryCache) {
        self.manifest = manifest
        self.cache = cache
    }

    /// - Returns: whether every run is there and whole.
    mutating func openRuns() -> Bool {
        do {
            runs = try manifest.runs.map { ($0, try cache.openRun($0)) }
            guard runs.reduce(0, { $0 + $1.run.recordCount }) <= Self.checkedRecords else { return true }
            for (_, run) in runs { try run.checkAllPages() }
            return true
        } catch {
            return false
        }
    }

    /// Whether a segment that was listed was gone when it was fetched.
    var missesListed: Bool { damaged.values.contains { $0.code == .notFound } }

    /// - Parameter replaced: segments that are known to count no more.
    mutating func startAnew(without replaced: Set<ObjectName> = []) {
        manifest = IndexManifest()
        manifest.replaced = replaced
        runs = []
        damaged = [:]
        changed = true
    }

    private struct Fetched: Sendable {
        var name: ObjectName
        var kind: ObjectKind
        /// What it holds of the budget.
        var cost: Int
        var segment: Result<IndexSegment, HawserError>
    }

    // Of segments that were fetched and not yet taken in: at the time of opening, nothing else is held.
    private static let fetchedBytes = 32 << 20

    mutating func take(
        _ listed: [ObjectName: ListedSegment],
        from target: any DataMoverTarget,
        objects: ObjectSealer
    ) async throws {
        var numbers: [ObjectName: UInt32] = [:]
        for (number, pack) in manifest.packs.enumerated() { numbers[pack.name] = UInt32(number) }
        damaged = [:]
        let new = listed.sorted { $0.key < $1.key }
            .filter { !manifest.segments.contains($0.key) && !manifest.replaced.contains($0.key) }
        let cache = cache
        let budget = ByteBudget(total: Self.fetchedBytes)
        try await withBoundedTasks(over: new, width: Parallelism.requests) { name, listed -> Fetched in
            let cost = min(listed.length, budget.total)
            try await budget.reserve(cost)
            do {
                var bytes = cache.keptSegment(name)
                if bytes == nil { bytes = try await target.fetchVerified(.named(listed.kind, name)) }
                let segment = try IndexSegment(
                    decoding: bytes ?? [],
                    kind: listed.kind == .dataIndex ? .data : .metadata,
                    sealer: objects
                )
                return Fetched(name: name, kind: listed.kind, cost: cost, segment: .success(segment))
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                return Fetched(name: name, kind: listed.kind, cost: cost, segment: .failure(error))
            }
        } take: { fetched in
            defer { budget.release(fetched.cost) }
            // One that came before may replace it.
            guard !manifest.replaced.contains(fetched.name) else { return }
            switch fetched.segment {
            case .success(let segment): try take(segment, fetched, &numbers)
            case .failure(let error): damaged[.named(fetched.kind, fetched.name)] = error
            }
        }
    }

    private mutating func take(
        _ segment: IndexSegment,
        _ fetched: Fetched,
        _ numbers: inout [ObjectName: UInt32]
    ) throws {
        let mapping = segment.packs.map { pack in
            if let number = numbers[pack.name] { return number }
            let number = UInt32(manifest.packs.count)
            manifest.packs.append(
                PackReference(name: pack.name, length: pack.length, isMetadata: fetched.kind == .metadataIndex)
            )
            numbers[pack.name] = number
            return number
        }
        let runName = newName()
        let run = try cache.makeRun(named: runName, count: segment.records.count) { writer in
            for var record in segment.records {
                record.packNumber = mapping[Int(record.packNumber)]
                writer.append(record)
            }
        }
        runs.append((runName, run))
        manifest.segments.insert(fetched.name)
        manifest.replaced.formUnion(segment.replaces)
        changed = true
        try compact()
    }

    private mutating func compact() throws {
        while let members = IndexCompaction.due(runs.map(\.run)) {
            let name = newName()
            let merged = try IndexCompaction.merge(members, named: name, in: cache)
            runs.removeAll { run in members.contains { $0 === run.run } }
            runs.append((name, merged))
        }
    }

    private mutating func newName() -> String {
        let name = "run-" + [UInt8].random(count: 8).hex
        made.append(name)
        return name
    }

    mutating func finish() -> ChunkIndex.State {
        // Whether a replaced segment can be read is of no interest.
        damaged = damaged.filter { key, _ in key.name.map { !manifest.replaced.contains($0) } ?? true }
        if changed {
            manifest.runs = runs.map(\.name)
            if cache.write(manifest) {
                cache.removeRuns(except: manifest)
                cache.removeKeptSegments(manifest.segments)
            } else {
                cache.removeRuns(made)
            }
        }
        var state = ChunkIndex.State()
        state.packs = manifest.packs
        state.runs = runs.map(\.run)
        state.damagedSegments = damaged
        return state
    }
}
