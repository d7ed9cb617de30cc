import HawserFormat
import HawserStorage
import HawserTransfer

/// What reading a whole pack showed.
private struct PackVerdict: Sendable {
    var number: UInt32
    var pack: PackReference
    /// Bytes that were read.
    var length = 0
    var isGone = false
    /// Why the pack is not what its name says.
    var error: HawserError?
    /// Its footer can't be read, so its blobs are those of the index.
    var needsRecords = false
    /// The index says something else than the footer.
    var disagreement: HawserError?
    var badBlobs: [ChunkID] = []
}

extension RepositoryCheck {
    /// Reads packs whole: hash, footer, and every blob down to the hash that it is called by.
    func readData(_ fresh: Repository, _ damage: inout CheckDamage, _ log: inout CheckLog) async throws {
        let packs = fresh.index.packs
        let numbers = packs.numbers.filter { damage.packs[$0.value] == nil }
        let chosen = choose(of: packs.filter { numbers[$0.key] != nil })
        if chosen.isEmpty { return }
        log.report(.began(.data))
        let counts = try fresh.index.chunkCounts()
        // Of these, what is needed is somewhere else. A mark that can't be read is found by itself.
        let marked = try await condemned()
        let total = chosen.reduce(0) { $0 + UInt64($1.length) }
        // Enough for the largest pack, whatever was asked for.
        let budget = ByteBudget(total: max(memory, chosen.reduce(0) { max($0, Int($1.length)) }))
        func note(_ verdict: PackVerdict) {
            if verdict.error != nil, Self.isElsewhere(verdict, fresh.index, marked) {
                let error = HawserError(.damaged, "A damaged pack waits for its deletion. Nothing needs it.")
                log.add(verdict.pack.key.path, error, .warning, remedy: .prune)
            } else {
                Self.note(verdict, &damage, &log)
            }
        }
        var unclear: [PackVerdict] = []
        var gone: [PackVerdict] = []
        let places = chosen.compactMap { pack in numbers[pack.key].map { (pack: pack, number: $0) } }
        try await withBoundedTasks(over: places, width: Parallelism.cores + 2) { place in
            try await budget.withReservation(Int(place.pack.length)) {
                try await Self.read(place.pack, place.number, chunkCount: counts[Int(place.number)], fresh)
            }
        } take: { verdict in
            log.summary.packsRead += 1
            log.summary.bytesRead += UInt64(verdict.length)
            log.report(
                .read(
                    packs: log.summary.packsRead,
                    bytes: log.summary.bytesRead,
                    ofPacks: chosen.count,
                    ofBytes: total
                )
            )
            if verdict.isGone {
                gone.append(verdict)
            } else if verdict.needsRecords {
                unclear.append(verdict)
            } else {
                note(verdict)
            }
        }
        // What a prune has marked it deletes, when what is needed of it is somewhere else.
        let deleted = gone.isEmpty ? [] : try await condemned()
        for verdict in gone {
            if deleted.contains(verdict.pack.name) {
                fresh.index.drop([verdict.number])
            } else {
                Self.note(verdict, &damage, &log)
            }
        }
        let records = try fresh.index.records(inPacks: Set(unclear.map(\.number)))
        for var verdict in unclear {
            try await budget.withReservation(Int(verdict.pack.length)) {
                do {
                    let bytes = try await fresh.target.fetch(verdict.pack.key, range: nil)
                    Self.open(records[verdict.number] ?? [], of: bytes, &verdict, fresh)
                } catch let error as HawserError where !error.isRetryable {
                    verdict.error = verdict.error ?? error
                }
            }
            note(verdict)
        }
    }

    /// Whether the pack is marked, and each chunk that can't be read in it is in another that stays.
    private static func isElsewhere(_ verdict: PackVerdict, _ index: ChunkIndex, _ marked: Set<ObjectName>) -> Bool {
        guard marked.contains(verdict.pack.name), verdict.length > 0 else { return false }
        return verdict.badBlobs.allSatisfy { id in
            index.findAll(id).contains { !marked.contains(index.pack($0.packNumber).name) }
        }
    }

    private func choose(of packs: [PackReference]) -> [PackReference] {
        switch data {
        case .none: return []
        case .all: return packs
        case .subset(let subset):
            var generator = SystemRandomNumberGenerator()
            return subset.choose(of: packs, using: &generator)
        }
    }

    private static func read(
        _ pack: PackReference,
        _ number: UInt32,
        chunkCount: Int,
        _ fresh: Repository
    ) async throws -> PackVerdict {
        var verdict = PackVerdict(number: number, pack: pack)
        let bytes: [UInt8]
        do {
            bytes = try await fresh.target.fetch(pack.key, range: nil)
        } catch let error as HawserError where !error.isRetryable {
            verdict.isGone = error.code == .notFound
            verdict.error = error
            return verdict
        }
        verdict.length = bytes.count
        if ObjectName(hashOf: bytes) != pack.name {
            verdict.error = HawserError(
                .damaged,
                "The pack's bytes are not those that its name says.",
                place: pack.key.path
            )
        }
        do {
            let records = try Repository.checked(
                PackReader.footer(of: bytes, kind: pack.kind, sealer: fresh.objects)
            ).records
            if let difference = difference(records, number, chunkCount: chunkCount, fresh.index) {
                verdict.disagreement = HawserError(.damaged, difference, place: pack.key.path)
            }
            open(records, of: bytes, &verdict, fresh)
        } catch var error as HawserError {
            error.place = pack.key.path
            verdict.error = verdict.error ?? error
            verdict.needsRecords = true
        }
        return verdict
    }

    private static func difference(
        _ records: [BlobRecord],
        _ number: UInt32,
        chunkCount: Int,
        _ index: ChunkIndex
    ) -> String? {
        let absent = records.count { record in
            !index.findAll(record.id).contains(IndexRecord(blob: record, packNumber: number))
        }
        if absent > 0 { return "The index does not have \(absent) of the pack's \(records.count) chunks." }
        if chunkCount != records.count {
            return "The index names \(chunkCount) chunks of a pack that has \(records.count)."
        }
        return nil
    }

    private static func open(
        _ records: [BlobRecord],
        of bytes: [UInt8],
        _ verdict: inout PackVerdict,
        _ fresh: Repository
    ) {
        let compressor = Compressor(method: .off)
        for record in records {
            let end = Int(record.offset) + Int(record.storedLength)
            guard end <= bytes.count else {
                verdict.badBlobs.append(record.id)
                continue
            }
            do {
                _ = try fresh.open(
                    bytes[Int(record.offset)..<end],
                    record,
                    with: compressor,
                    place: verdict.pack.key
                )
            } catch {
                verdict.badBlobs.append(record.id)
                if verdict.error == nil {
                    verdict.error =
                        error as? HawserError
                        ?? HawserError(.damaged, "A chunk can't be opened.", place: verdict.pack.key.path)
                }
            }
        }
    }

    private static func note(_ verdict: PackVerdict, _ damage: inout CheckDamage, _ log: inout CheckLog) {
        let key = verdict.pack.key.path
        if let disagreement = verdict.disagreement { log.add(key, disagreement, remedy: .repairIndex) }
        guard let error = verdict.error else { return }
        let finding = log.add(key, error, remedy: verdict.isGone ? .repairIndex : .repairPacks)
        if verdict.length == 0 {
            damage.packs[verdict.number] = CheckDamage.Pack(finding: finding, available: 0)
        }
        for id in verdict.badBlobs { damage.blobs[id] = finding }
        if !verdict.badBlobs.isEmpty { damage.packsOfBlobs.insert(verdict.number) }
    }
}
