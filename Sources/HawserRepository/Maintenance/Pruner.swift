public import HawserFormat
import HawserStorage
import HawserTransfer

/// Drops what no snapshot needs (docs/format.md, 16): marks packs, and deletes those that were marked long enough ago.
///
/// One run does both, so that a repository that is pruned now and then is always a run behind. Backups, restores, checks
/// and other prunes may go on beside it; it can be killed at any point, and the next run goes on from what is there.
/// Nothing is remembered but in the repository: packs that were moved already are found by the index, marks are
/// `condemned/` objects, and a mark is never taken back: what is needed of a marked pack moves.
public struct Pruner: Sendable {
    let repository: Repository
    let options: PruneOptions
    let now: @Sendable () -> Timestamp
    let report: @Sendable (PruneProgress) -> Void

    /// - Parameters:
    ///   - now: it decides what is old enough, nothing else: a wrong clock marks what a session then stores again.
    ///     ``Repository/storageTime`` is better than this machine's.
    ///   - report: called often, one call at a time.
    public init(
        _ repository: Repository,
        options: PruneOptions = PruneOptions(),
        now: @escaping @Sendable () -> Timestamp,
        report: @escaping @Sendable (PruneProgress) -> Void = { _ in }
    ) {
        self.repository = repository
        self.options = options
        self.now = now
        self.report = report
    }

    /// What a run knows and has done.
    struct State {
        var summary = PruneSummary()
        var table = PackTable()
        var marks: [Mark] = []
        var refs = RefsCatalog()
        var snapshots: [StoredSnapshot] = []
        /// Snapshots that can't be read are living too.
        var living: Set<ObjectName> = []
        /// Living.
        var checkpoints: [ObjectName: Checkpoint] = [:]
        /// Ids of checkpoints that are of no use.
        var deadCheckpoints: Set<ObjectName> = []
        var hasUnreadableSnapshots = false
        /// By this run.
        var deleted: Set<ObjectKey> = []
    }

    /// A `condemned/` object.
    struct Mark {
        var key: ObjectKey
        var since: Timestamp
        var packs: [PackReference]
    }

    /// - Throws: `damaged` when the index or the refs of a snapshot can't be read: nothing is deleted then;
    ///   `pruneInTheWay` when another prune moves the same packs; errors of the storage.
    public func run() async throws -> PruneSummary {
        try repository.requireWritable()
        if !options.dryRun { _ = try await repository.recoverJournalledPacks() }
        let found = try await look()
        var (state, facts, plan) = (found.state, found.facts, found.plan)
        try await keepLocked(&plan, facts, &state)
        if options.dryRun {
            describe(plan, facts, &state)
            return state.summary
        }
        let moved = try await rewrite(&plan, facts, found.used, state, found.fresh)
        state.summary.movedBytes = moved.bytes
        for (key, error) in moved.damaged { state.summary.damaged[key] = error }
        try await writeRefs(plan, moved, facts, found.verdict, &state)
        try await mark(plan, facts, &state)
        try await collect(&state)
        try await tidyIndex(found.indexed, &state)
        countWaiting(&state)
        return state.summary
    }

    // MARK: What is there

    /// What a run sees before it changes anything.
    private struct Findings {
        var state: State
        /// The index's packs.
        var indexed: [PackReference]
        /// With that index.
        var fresh: Repository
        var verdict: RefsCatalog.Verdict
        var facts: PackFacts
        var plan: PrunePlan
        var used: UsedChunks
    }

    /// Not for ever: a storage's lists may go on showing what is gone.
    private static let looks = 3

    private func look() async throws -> Findings {
        for _ in 0..<Self.looks {
            let found = try await lookOnce()
            // What is missing may be what another machine has forgotten, and another prune deleted, since it was listed.
            guard found.state.summary.isDamaged, try await isOutdated(found.state) else { return found }
        }
        return try await lookOnce()
    }

    private func lookOnce() async throws -> Findings {
        var state = State()
        try await gather(&state)
        let index = try await ChunkIndex.load(
            from: repository.target,
            objects: repository.objects,
            cache: repository.cache
        )
        try requireWhole(index)
        let indexed = index.packs
        let fresh = repository.with(index)
        // Of a chunk's places the lasting one is read, and used. A run that was killed has left the index with packs that
        // it deleted; what is not there and not marked can have come since.
        let marked = Set(state.marks.flatMap(\.packs).map(\.name))
        let absent = indexed.indices.filter { state.table.place(of: indexed[$0]) == nil }
        index.condemn(marked.union(absent.map { indexed[$0].name }))
        index.drop(Set(absent.filter { marked.contains(indexed[$0].name) }.map { UInt32($0) }))
        let verdict = judge(state)
        let (facts, plan, used) = try await makePlan(&state, verdict, fresh)
        return Findings(
            state: state,
            indexed: indexed,
            fresh: fresh,
            verdict: verdict,
            facts: facts,
            plan: plan,
            used: used
        )
    }

    /// Whether anything living is gone by now.
    private func isOutdated(_ state: State) async throws -> Bool {
        let living =
            state.snapshots.map { ObjectKey.named(.snapshot, $0.id) }
            + state.checkpoints.keys.map { ObjectKey.named(.checkpoint, $0) }
        return try await !repository.target.absent(of: living).isEmpty
    }

    /// Packs before refs, refs before snapshots: what a backup stores meanwhile is then known to be needed, or not
    /// known at all.
    func gather(_ state: inout State) async throws {
        report(PruneProgress(phase: .listing))
        state.table = try await PackTable.list(repository.target)
        for pack in state.table.packs { state.summary.packs.add(pack) }
        state.marks = try await marks()
        try await state.refs.read(listed(.refs), repository.target, state.table)
        var unreadable: Set<ObjectName> = []
        state.snapshots = try await repository.snapshots { key, _ in
            if let id = key.name { unreadable.insert(id) }
        }
        state.hasUnreadableSnapshots = !unreadable.isEmpty
        state.living = Set(state.snapshots.map(\.id)).union(unreadable)
        try await gatherCheckpoints(&state)
        try await requireRefs(&state)
    }

    func listed(_ kind: ObjectKind) async throws -> [ObjectInfo] {
        try await repository.target.list(kind).reduce(into: []) { $0.append($1) }
    }

    func marks(besides known: Set<ObjectKey> = []) async throws -> [Mark] {
        var marks: [Mark] = []
        for info in try await listed(.condemned) where !known.contains(info.key) {
            do {
                let object = try Condemned(decoding: await repository.target.fetchVerified(info.key))
                marks.append(Mark(key: info.key, since: info.stored ?? object.created, packs: object.packs))
            } catch var error as HawserError {
                // Another prune has found it to be of no use any more.
                if error.code == .notFound { continue }
                error.place = error.place ?? info.key.path
                throw error
            }
        }
        return marks
    }

    /// Living are the newest of each host, paths and excludes, unless a later backup of these has ended.
    private func gatherCheckpoints(_ state: inout State) async throws {
        struct Source: Hashable {
            var host: [UInt8]
            var paths: [[UInt8]]
            var excludes: [[UInt8]]
        }
        var ended: [Source: Timestamp] = [:]
        for stored in state.snapshots {
            let snapshot = stored.snapshot
            let source = Source(host: snapshot.hostname, paths: snapshot.paths, excludes: snapshot.excludes)
            ended[source] = max(ended[source] ?? snapshot.summary.started, snapshot.summary.started)
        }
        var newest: [Source: (id: ObjectName, checkpoint: Checkpoint)] = [:]
        for info in try await listed(.checkpoint) {
            guard let id = info.key.name else { continue }
            guard let bytes = try? await repository.target.fetchVerified(info.key),
                let checkpoint = try? Checkpoint(decoding: bytes, sealer: repository.objects)
            else {
                // It may be one that is only not readable now; nobody else's refs are dropped for it.
                state.living.insert(id)
                if isOlder(info.stored, than: Self.checkpointAge) { state.deadCheckpoints.insert(id) }
                continue
            }
            let source = Source(
                host: checkpoint.hostname,
                paths: checkpoint.paths,
                excludes: checkpoint.excludes
            )
            let isOver = ended[source].map { checkpoint.started <= $0 } ?? false
            if isOver || isOlder(info.stored ?? checkpoint.time, than: Self.checkpointAge) {
                state.deadCheckpoints.insert(id)
            } else if let known = newest[source], known.checkpoint.time >= checkpoint.time {
                state.deadCheckpoints.insert(id)
            } else {
                if let known = newest[source] { state.deadCheckpoints.insert(known.id) }
                newest[source] = (id, checkpoint)
            }
        }
        for (id, checkpoint) in newest.values {
            state.checkpoints[id] = checkpoint
            state.living.insert(id)
        }
        state.living.subtract(state.deadCheckpoints)
    }

    /// Who has not gone on with a backup for so long won't: the checkpoint would protect its packs for ever.
    private static let checkpointAge = Duration.seconds(30 * 86_400)

    /// - Parameter time: `nil` when the storage does not say: then it counts as new.
    func isOlder(_ time: Timestamp?, than age: Duration) -> Bool {
        if age == .zero { return true }
        guard let time else { return false }
        let (elapsed, overflow) = now().seconds.subtractingReportingOverflow(time.seconds)
        return !overflow && elapsed >= age.components.seconds
    }

    // MARK: What must be sound

    /// Refs of every living snapshot must be readable, or nothing in the repository may be deleted.
    func requireRefs(_ state: inout State) async throws {
        var known = Set(state.refs.objects.values.map(\.snapshot))
        for id in state.living.subtracting(known).sorted() {
            // Committed since the refs were listed.
            let infos = try await repository.target.list(prefix: ObjectKind.refs.prefix + id.hex + "/")
                .reduce(into: []) { $0.append($1) }
            try await state.refs.read(infos, repository.target, state.table)
        }
        known = Set(state.refs.objects.values.map(\.snapshot))
        for id in state.living.subtracting(known).union(state.living.intersection(state.refs.missed())).sorted() {
            if state.checkpoints.removeValue(forKey: id) != nil {
                // It protects nothing, so it is good for nothing.
                state.living.remove(id)
                continue
            }
            // Forgotten since it was listed.
            if try await repository.target.head(.named(.snapshot, id)) == nil {
                state.living.remove(id)
                state.snapshots.removeAll { $0.id == id }
                continue
            }
            throw HawserError(
                .damaged,
                "The refs of a snapshot can't be read, so nobody knows what it needs, and nothing is deleted. Run «hawser repair snapshots», or forget it.",
                place: ObjectKind.refs.prefix + id.hex + "/"
            )
        }
    }

    private func requireWhole(_ index: ChunkIndex) throws {
        guard let (key, error) = index.damagedSegments.min(by: { $0.key < $1.key }) else { return }
        throw HawserError(
            .damaged,
            "An index segment can't be read, so nobody knows what the packs hold. Run «hawser repair index».",
            place: key.path,
            cause: error,
            isRetryable: error.isRetryable
        )
    }

    func judge(_ state: State) -> RefsCatalog.Verdict {
        state.refs.judge(
            living: state.living,
            dead: state.deadCheckpoints,
            isOrphan: { isOlder($0, than: options.grace.candidateAge) },
            isSettled: { isOlder($0, than: options.grace.deletionDelay) }
        )
    }
}
