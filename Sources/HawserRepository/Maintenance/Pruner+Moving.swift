import HawserFormat
import HawserStorage
import HawserTransfer

extension Pruner {
    /// Where the used chunks of packs are now.
    struct Moved: Sendable {
        /// By place; packs that could be emptied.
        var packs: [Int: Set<PackReference>] = [:]
        var bytes: UInt64 = 0
        var damaged: [ObjectKey: HawserError] = [:]
    }

    /// A pack's chunks that are needed, and those of them that are to be copied with their sealed bytes.
    private struct Reading: Sendable {
        var place: Int
        var needed: [ChunkID] = []
        var spans: [(blobs: [SealedBlob], bytes: [UInt8])] = []
        /// Bytes of the budget.
        var reserved = 0
        var error: HawserError?
    }

    /// Copies what is needed of the packs to be emptied into new ones, sealed as it is, and enters it into the index.
    ///
    /// A killed run's copies are found by the index and used. A pack that can't be read whole stays.
    func rewrite(
        _ plan: inout PrunePlan,
        _ facts: PackFacts,
        _ used: UsedChunks,
        _ state: State,
        _ fresh: Repository
    ) async throws -> Moved {
        var moved = Moved()
        // From here on these don't count as places for anything either.
        fresh.index.condemn(Set((plan.useless + plan.rewritten).map { state.table.packs[$0].name }))
        if plan.rewritten.isEmpty { return moved }
        let writer = try RepositoryWriter(fresh, compression: .off, memory: options.memory)
        let places = plan.rewritten
        let total = plan.movedBytes
        moved = try await withThrowingTaskGroup(of: Moved?.self) { group in
            group.addTask {
                try await writer.runUploads()
                return nil
            }
            group.addTask {
                var moved = Moved()
                for round in Self.rounds(of: places, facts) {
                    try await move(round, used, state.table, fresh, writer, total, &moved)
                }
                await writer.finishUploads()
                return moved
            }
            var result = Moved()
            for try await part in group { result = part ?? result }
            return result
        }
        try await writer.close()
        try await requireUnmarked(moved.damaged.filter { $0.value.code == .notFound }.map(\.key))
        plan.stay(plan.rewritten.filter { moved.packs[$0] == nil }, facts)
        return moved
    }

    /// Packs that are gone are another prune's doing, when it has marked them.
    private func requireUnmarked(_ gone: [ObjectKey]) async throws {
        if gone.isEmpty { return }
        let condemned = try await repository.condemnedPacks()
        if gone.contains(where: { $0.name.map(condemned.contains) ?? false }) { throw Self.pruneInTheWay }
    }

    static let pruneInTheWay = HawserError(
        .pruneInTheWay,
        "Another prune has marked the same packs. Let it finish, then prune again.",
        isRetryable: true
    )

    /// Bounds what is remembered of packs until their chunks are durable somewhere else: 256 Ki ids are 8 MiB, and the
    /// packs that are closed half full at the end of each round are few.
    private static func rounds(of places: [Int], _ facts: PackFacts) -> [ArraySlice<Int>] {
        var rounds: [ArraySlice<Int>] = []
        var start = 0
        var chunks = 0
        for (index, place) in places.enumerated() {
            if chunks > 256 << 10 {
                rounds.append(places[start..<index])
                start = index
                chunks = 0
            }
            chunks += Int(facts.usedChunks[place])
        }
        rounds.append(places[start...])
        return rounds
    }

    private func move(
        _ places: ArraySlice<Int>,
        _ used: UsedChunks,
        _ table: PackTable,
        _ fresh: Repository,
        _ writer: RepositoryWriter,
        _ total: UInt64,
        _ moved: inout Moved
    ) async throws {
        var needed: [(place: Int, ids: [ChunkID])] = []
        // An eighth of the memory: half is for packs that are written. Never less than the largest pack.
        let budget = ByteBudget(
            total: places.reduce(options.memory / 8) { max($0, Int(table.packs[$1].length)) }
        )
        try await withBoundedTasks(over: places, width: Parallelism.cores + 2) { place in
            try await read(place, table.packs[place], used, fresh, writer, budget)
        } take: { reading in
            defer { budget.release(reading.reserved) }
            for span in reading.spans {
                try await writer.append(span.blobs, in: span.bytes)
                moved.bytes += UInt64(span.blobs.reduce(0) { $0 + $1.range.count })
            }
            if let error = reading.error { moved.damaged[table.packs[reading.place].key] = error }
            needed.append((reading.place, reading.needed))
            report(PruneProgress(phase: .moving, done: moved.bytes, total: total))
        }
        try await writer.flush()
        for (place, ids) in needed where moved.damaged[table.packs[place].key] == nil {
            var targets: Set<PackReference> = []
            var isWhole = true
            for id in ids {
                if let record = fresh.index.findLasting(id) {
                    targets.insert(table.asStored(fresh.index.pack(record.packNumber)))
                } else {
                    isWhole = false
                }
            }
            // What is in another pack that turned out to be damaged stays where it is.
            if isWhole { moved.packs[place] = targets }
        }
    }

    private func read(
        _ place: Int,
        _ pack: PackReference,
        _ used: UsedChunks,
        _ fresh: Repository,
        _ writer: RepositoryWriter,
        _ budget: ByteBudget
    ) async throws -> Reading {
        var reading = Reading(place: place)
        do {
            let records = try await fresh.footer(of: pack).records.filter { try used.isUsed($0.id) }
            reading.needed = records.map(\.id)
            let spans = Self.spans(records.filter { writer.claim($0.id) })
            let reserved = try spans.reduce(0) { $0 + (try Repository.span(of: $1, in: pack)).count }
            try await budget.reserve(reserved)
            reading.reserved = reserved
            for blobs in spans {
                let (bytes, ranges) = try await fresh.fetchSpan(blobs, from: pack)
                for (blob, range) in zip(blobs, ranges) {
                    try fresh.verifySealed(bytes[range], blob, place: pack.key)
                }
                reading.spans.append((zip(blobs, ranges).map { SealedBlob($0, range: $1) }, bytes))
            }
        } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
            reading.error = error
        } catch {
            budget.release(reading.reserved)
            throw error
        }
        return reading
    }

    /// Blobs that are near each other are fetched together: a request costs about as much as so many bytes.
    private static func spans(_ records: [BlobRecord]) -> [[BlobRecord]] {
        let gap: UInt32 = 512 << 10
        var spans: [[BlobRecord]] = []
        for record in records {
            if let last = spans.last?.last, record.offset - last.offset - last.storedLength <= gap {
                spans[spans.count - 1].append(record)
            } else {
                spans.append([record])
            }
        }
        return spans
    }
}

extension Repository {
    /// That these are the sealed bytes of the chunk: its key is made of its id, so the seal itself says so.
    func verifySealed(_ sealed: ArraySlice<UInt8>, _ blob: BlobRecord, place: ObjectKey) throws {
        let length = Int(blob.plainLength)
        do {
            try sealed.withUnsafeBytes {
                try blobs.open($0, id: blob.id, type: blob.type, epoch: blob.epoch, plainLength: length) { _ in }
            }
        } catch var error as HawserError {
            error.place = place.path
            throw error
        }
    }
}
