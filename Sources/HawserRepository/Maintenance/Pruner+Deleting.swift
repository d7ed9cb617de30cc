import HawserFormat
import HawserStorage
import HawserTransfer

extension Pruner {
    /// A mark's list: 65,536 packs are 2.4 MB.
    private static let markLimit = 64 << 10

    /// Writes down what is to be deleted. Everything that is needed of it is durable elsewhere, and refs say so.
    ///
    /// - Parameter gone: packs that are not there, but that the index names.
    func mark(
        _ plan: PrunePlan,
        _ facts: PackFacts,
        gone: [PackReference] = [],
        _ state: inout State
    ) async throws {
        let places = (plan.useless + plan.rewritten).sorted()
        for place in plan.rewritten { state.summary.rewritten.add(state.table.packs[place]) }
        let packs = places.filter { !facts.condemned[$0] }.map { state.table.packs[$0] } + gone
        for pack in packs { state.summary.marked.add(pack) }
        for start in stride(from: 0, to: packs.count, by: Self.markLimit) {
            let part = Array(packs[start..<min(start + Self.markLimit, packs.count)])
            let mark = Condemned(packs: part, fence: 0, created: now())
            let object = SealedObject(kind: .condemned, bytes: try mark.encode())
            _ = try await repository.target.store(object)
            state.marks.append(Mark(key: object.key, since: mark.created, packs: part))
        }
    }

    /// Packs that were marked long enough ago.
    func due(_ state: State) -> [PackReference] {
        state.marks.filter { isOlder($0.since, than: options.grace.deletionDelay) }.flatMap(\.packs)
    }

    /// Deletes what was marked long enough ago and what no refs name now.
    func collect(_ state: inout State) async throws {
        try await delete(state.deadCheckpoints.sorted().map { .named(.checkpoint, $0) })
        state.summary.checkpointsDeleted = state.deadCheckpoints.count
        try await removeUselessRefs(&state)
        var doomed = PackBits(count: state.table.count)
        for pack in due(state) {
            if let place = state.table.place(of: pack) { doomed[place] = true }
        }
        if doomed.isEmpty { return }
        // After the marks: whoever wrote refs before has been seen here, whoever writes them later sees the marks. All
        // refs count now, whoever they are of.
        let refs = try await listed(.refs)
        state.refs.keepUnreadable(refs)
        try await state.refs.read(refs, repository.target, state.table)
        for try await info in repository.target.list(.snapshot) {
            if let id = info.key.name { state.living.insert(id) }
        }
        try await requireRefs(&state)
        for object in state.refs.objects.values {
            for place in object.packs.places where doomed[place] { doomed[place] = false }
        }
        let keys = doomed.places.map { state.table.packs[$0].key }
        let report = report
        try await delete(keys) { done in
            report(PruneProgress(phase: .deleting, done: UInt64(done), total: UInt64(keys.count)))
        }
        for place in doomed.places {
            state.summary.deleted.add(state.table.packs[place])
            state.deleted.insert(state.table.packs[place].key)
        }
    }
}
