public import HawserFormat
import HawserStorage
import HawserTransfer

/// What saving the chunks of damaged packs came to.
public struct PackRepairSummary: Sendable {
    public var packsRead = 0
    /// Packs that are not what they must be: marked, so that a prune deletes them and backups store again what they held.
    public var damaged: [ObjectKey: HawserError] = [:]
    public var chunksSaved = 0
    /// Chunks that were in no other pack and can't be read.
    public var chunksLost = 0
}

public struct PackRepairProgress: Sendable {
    public var packsRead: Int
    public var packs: Int
}

extension Repository {
    /// Saves what can be read of damaged packs into new ones.
    ///
    /// Each pack is read whole; a chunk that fails is read once more before it counts as lost. What is whole is stored
    /// again, the refs of all snapshots concerned name the new packs, and the damaged ones are marked for deletion. A
    /// backup afterwards stores what the source still has of the lost chunks, which heals older snapshots too.
    /// - Parameters:
    ///   - names: of packs, or `nil` for all that the index knows.
    ///   - now: this machine's clock, for the mark.
    public func repairPacks(
        _ names: Set<ObjectName>? = nil,
        memory: Int = 128 << 20,
        now: @escaping @Sendable () -> Timestamp,
        progress: (PackRepairProgress) -> Void = { _ in }
    ) async throws -> PackRepairSummary {
        try requireWritable()
        let fresh = with(try await ChunkIndex.load(from: target, objects: objects, cache: cache))
        let marked = try await condemnedPacks()
        fresh.index.condemn(marked)
        let all = fresh.index.packs
        let chosen = all.indices.filter { number in
            names?.contains(all[number].name) ?? true && !marked.contains(all[number].name)
        }
        if let names, let unknown = names.subtracting(all.map(\.name)).min() {
            throw HawserError(.notFound, "The index knows no such pack.", place: unknown.hex)
        }
        if all.isEmpty { try await requireNoPacks() }
        var summary = PackRepairSummary()
        var damaged: [UInt32: HawserError] = [:]
        let budget = ByteBudget(total: chosen.reduce(memory / 4) { max($0, Int(all[$1].length)) })
        try await withBoundedTasks(over: chosen, width: Parallelism.cores + 2) { number in
            try await budget.withReservation(Int(all[number].length)) {
                (number, try await fresh.damage(of: all[number]))
            }
        } take: { number, error in
            summary.packsRead += 1
            if let error {
                summary.damaged[all[number].key] = error
                damaged[UInt32(number)] = error
            }
            progress(PackRepairProgress(packsRead: summary.packsRead, packs: chosen.count))
        }
        if damaged.isEmpty { return summary }
        let targets = try await fresh.save(Set(damaged.keys), memory: memory, &summary)
        try await Pruner(fresh, now: now).replace(targets)
        return summary
    }

    private func requireNoPacks() async throws {
        for kind in [ObjectKind.dataPack, .metadataPack] {
            for try await info in target.list(kind) {
                throw HawserError(
                    .damaged,
                    "The index names none of the packs that are there. Run «hawser repair index» first.",
                    place: info.key.path
                )
            }
        }
    }

    /// Why the pack is not what its name says, if so. Gone is damaged too.
    private func damage(of pack: PackReference) async throws -> HawserError? {
        do {
            let bytes = try await target.fetchVerified(pack.key)
            _ = try Self.checked(PackReader.footer(of: bytes, kind: pack.kind, sealer: objects))
            return nil
        } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
            return error
        }
    }

    /// - Returns: for each pack, those that have its chunks now.
    private func save(
        _ numbers: Set<UInt32>,
        memory: Int,
        _ summary: inout PackRepairSummary
    ) async throws -> [PackReference: Set<PackReference>] {
        let packs = index.packs
        // What the index says of a pack is all that leads to its chunks when its footer is damaged.
        let records = try index.records(inPacks: numbers)
        index.condemn(Set(numbers.map { packs[Int($0)].name }))
        let writer = try RepositoryWriter(self, compression: .off, memory: memory)
        var saved = 0
        saved = try await withThrowingTaskGroup(of: Int?.self) { group in
            group.addTask {
                try await writer.runUploads()
                return nil
            }
            group.addTask {
                var saved = 0
                for (number, blobs) in records.sorted(by: { $0.key < $1.key }) {
                    for blob in blobs where index.findLasting(blob.id) == nil {
                        guard let sealed = try await readTwice(blob, of: packs[Int(number)]), writer.claim(blob.id)
                        else {
                            continue
                        }
                        try await writer.append(blob, sealed: sealed)
                        saved += 1
                    }
                }
                try await writer.flush()
                await writer.finishUploads()
                return saved
            }
            var result = 0
            for try await part in group { result = part ?? result }
            return result
        }
        try await writer.close()
        summary.chunksSaved = saved
        var targets: [PackReference: Set<PackReference>] = [:]
        var lost: Set<ChunkID> = []
        for (number, blobs) in records {
            var places: Set<PackReference> = []
            for blob in blobs {
                if let record = index.findLasting(blob.id) {
                    places.insert(index.pack(record.packNumber))
                } else {
                    lost.insert(blob.id)
                }
            }
            targets[packs[Int(number)]] = places
        }
        for number in numbers where records[number] == nil { targets[packs[Int(number)]] = [] }
        summary.chunksLost = lost.count
        return targets
    }

    /// A cable that fails now and then must not make a chunk lost.
    func readTwice(_ blob: BlobRecord, of pack: PackReference) async throws -> [UInt8]? {
        for _ in 0..<2 {
            do {
                let range = Int(blob.offset)..<Int(blob.offset) + Int(blob.storedLength)
                let sealed = try await target.fetch(pack.key, range: range)
                _ = try open(sealed[...], blob, with: Compressor(method: .off), place: pack.key)
                return sealed
            } catch let error as HawserError
                where [.damaged, .notFound, .invalidArgument].contains(error.code)
            {
                continue
            }
        }
        return nil
    }
}

extension Pruner {
    /// Gives every snapshot that names one of these packs refs that name the others instead, then marks them.
    func replace(_ targets: [PackReference: Set<PackReference>]) async throws {
        var state = State()
        try await gather(&state)
        let verdict = judge(state)
        var plan = PrunePlan()
        var moved = Moved()
        var facts = PackFacts(state.table)
        for objects in verdict.living.values {
            for object in objects { facts.named.formUnion(object.packs) }
        }
        var gone: [PackReference: Set<PackReference>] = [:]
        for (pack, packs) in targets {
            guard let place = state.table.place(of: pack) else {
                gone[pack] = packs
                continue
            }
            plan.rewritten.append(place)
            moved.packs[place] = Set(packs.map(state.table.asStored))
        }
        plan.rewritten.sort()
        try await writeRefs(plan, moved, facts, verdict, gone: gone, &state)
        try await mark(plan, facts, gone: Array(gone.keys), &state)
    }
}
