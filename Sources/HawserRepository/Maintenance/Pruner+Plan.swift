import HawserFormat
import HawserStorage
import HawserTransfer

extension Pruner {
    /// Goes through all trees and decides about every pack.
    func makePlan(
        _ state: inout State,
        _ verdict: RefsCatalog.Verdict,
        _ fresh: Repository
    ) async throws -> (PackFacts, PrunePlan, UsedChunks) {
        var facts = PackFacts(state.table)
        for place in 0..<state.table.count {
            let stored = state.table.stored[place].map { Timestamp(seconds: $0) }
            facts.old[place] = isOlder(stored, than: options.grace.candidateAge)
        }
        for objects in verdict.living.values {
            for object in objects { facts.named.formUnion(object.packs) }
        }
        for object in verdict.unclear { facts.unclear.formUnion(object.packs) }
        for pack in state.marks.flatMap(\.packs) {
            if let place = state.table.place(of: pack) { facts.condemned[place] = true }
        }

        report(PruneProgress(phase: .marking))
        var used = try UsedChunks(fresh.index, cache: fresh.cache)
        let report = report
        var (missing, isWhole) = try await used.markTrees(roots(state), in: fresh) { nodes in
            report(PruneProgress(phase: .marking, done: UInt64(nodes)))
        }
        for checkpoint in state.checkpoints.values {
            for (id, _) in checkpoint.fileInWork?.entry.dataChunks ?? [] where try used.mark(id) == .absent {
                missing += 1
            }
        }
        if state.hasUnreadableSnapshots { isWhole = false }
        let places = fresh.index.packs.map { state.table.place(of: $0) }
        let marked = Set(state.marks.flatMap(\.packs).map(\.name))
        let packs = fresh.index.packs
        let later = try await storedSince(
            packs.indices.filter { places[$0] == nil && !marked.contains(packs[$0].name) },
            packs
        )
        let counts = try facts.count(used, places: places, later: later)
        state.summary.usedChunks = counts.chunks
        state.summary.usedBytes = counts.bytes
        state.summary.missingChunks = missing + counts.lost
        state.summary.treesAreDamaged = !isWhole
        let plan = PrunePlan(
            facts,
            maxUnused: options.maxUnused,
            smallBelow: { isMetadata in
                // A quarter of what writers make: four such packs are one.
                let size =
                    isMetadata
                    ? PackLayout.metadataSize
                    : repository.packSize(storedBytes: state.summary.packs.bytes, memory: options.memory)
                return UInt32(size / 4)
            },
            canRewrite: isWhole
        )
        state.summary.unusedBytesLeft = plan.unusedBytesLeft
        state.summary.youngBytes = plan.youngBytes
        return (facts, plan, used)
    }

    /// Those of the index's packs that the table does not have and that are there: a backup has ended meanwhile.
    private func storedSince(_ unlisted: [Int], _ packs: [PackReference]) async throws -> Set<UInt32> {
        let absent = try await repository.target.absent(of: unlisted.map { packs[$0].key })
        return Set(unlisted.filter { !absent.contains(packs[$0].key) }.map { UInt32($0) })
    }

    /// Takes what is of no use and locked out of the plan: no space would come back. Packs of which something is needed
    /// move all the same: backups would lock them for ever.
    func keepLocked(_ plan: inout PrunePlan, _ facts: PackFacts, _ state: inout State) async throws {
        guard let lock = repository.config.lock, let locks = repository.target.locks else { return }
        let now = locks.storageTime
        let table = state.table
        let candidates = (plan.useless + plan.rewritten).filter { !facts.condemned[$0] && facts.usedChunks[$0] == 0 }
        var locked: [Int: Timestamp] = [:]
        try await withBoundedTasks(over: candidates, width: Parallelism.requests) { place in
            // As it was stored: who knows that asks nobody.
            let stored = table.stored[place].map { lock.leastEnd(at: Timestamp(seconds: $0)) }
            if let stored, stored > now { return (place, stored) }
            do {
                return (place, try await locks.lockEnd(of: table.packs[place].key))
            } catch let error as HawserError where error.code == .notFound {
                return (place, nil)
            }
        } take: { (place: Int, end: Timestamp?) in
            if let end, end > now { locked[place] = end }
        }
        plan.keep(Set(locked.keys), facts)
        for place in locked.keys { state.summary.locked.add(table.packs[place]) }
        state.summary.lockedUntil = locked.values.max()
        state.summary.unusedBytesLeft = plan.unusedBytesLeft
    }

    private func roots(_ state: State) -> [TreeNode] {
        state.snapshots.map { TreeNode(root: $0.snapshot.root) }
            + state.checkpoints.values.flatMap { checkpoint in
                (checkpoint.prefix.map { [TreeNode(root: $0.root)] } ?? [])
                    + (checkpoint.fileInWork?.entry.nodes ?? [])
            }
    }

    /// What a dry run tells.
    func describe(_ plan: PrunePlan, _ facts: PackFacts, _ state: inout State) {
        for place in plan.useless + plan.rewritten where !facts.condemned[place] {
            state.summary.marked.add(state.table.packs[place])
        }
        for place in plan.rewritten { state.summary.rewritten.add(state.table.packs[place]) }
        state.summary.movedBytes = plan.movedBytes
        let due = Set(due(state).map(\.name))
        for place in facts.condemned.places {
            let pack = state.table.packs[place]
            if due.contains(pack.name), !facts.named[place], !facts.unclear[place] {
                state.summary.deleted.add(pack)
            } else {
                state.summary.waiting.add(pack)
            }
        }
        if options.grace.deletionDelay == .zero {
            for place in plan.useless + plan.rewritten where !facts.condemned[place] {
                state.summary.deleted.add(state.table.packs[place])
            }
        }
    }

    func countWaiting(_ state: inout State) {
        var counted = state.deleted
        for mark in state.marks {
            for pack in mark.packs where state.table.place(of: pack) != nil && counted.insert(pack.key).inserted {
                state.summary.waiting.add(pack)
                let end = Timestamp(seconds: mark.since.seconds + options.grace.deletionDelay.components.seconds)
                state.summary.waitingUntil = max(state.summary.waitingUntil ?? end, end)
            }
        }
    }
}
