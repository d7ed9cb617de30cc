import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Synchronization
import Testing

@testable import HawserRepository

/// A storage, some machines that back up into it and look after it at the same time, and what must be true of it.
final class ModelWorld: Sendable {
    /// What happened, to see that it is worth something.
    struct Counts: Sendable {
        var backups = 0
        var marked = 0
        var deleted = 0
        var moved = 0
        var condemnations = 0
        var kills = 0
        var inTheWay = 0
        var checkpoints = 0

        static func + (left: Counts, right: Counts) -> Counts {
            Counts(
                backups: left.backups + right.backups,
                marked: left.marked + right.marked,
                deleted: left.deleted + right.deleted,
                moved: left.moved + right.moved,
                condemnations: left.condemnations + right.condemnations,
                kills: left.kills + right.kills,
                inTheWay: left.inTheWay + right.inTheWay,
                checkpoints: left.checkpoints + right.checkpoints
            )
        }
    }

    private struct State {
        /// Committed and not forgotten: must be restorable.
        var snapshots: [ObjectName: [TestFile]] = [:]
        var log: [String] = []
        var counts = Counts()
    }

    let simulation: Simulation
    let memory: MemoryStore
    private let unlocked: Repository.Unlocked
    private let folder: String
    private let state = Mutex(State())
    /// Prunes that wait for less than they should: safe as long as the storage's lists are true, which the model's are.
    private let isHasty: Bool
    /// The longest pause of a machine between two things that it does, seconds.
    private let pause: Int

    init(seed: UInt64, folder: String) async throws {
        let simulation = Simulation(seed: seed)
        self.simulation = simulation
        self.folder = folder
        memory = MemoryStore { simulation.now }
        let target = TargetDataMover(store: memory)
        try await Repository.create(at: target, password: .test, slot: .test(), cost: .test)
        unlocked = try await Repository.unlock(target, password: .test)
        isHasty = simulation.chance(60)
        pause = isHasty ? [120, 600, 3_600][simulation.random(0..<3)] : 3 * 86_400
    }

    var counts: Counts { state.withLock { $0.counts } }

    private func count(_ change: (inout Counts) -> Void) { state.withLock { change(&$0.counts) } }

    var log: String { state.withLock { $0.log.joined(separator: "\n") } }

    private func note(_ text: String) {
        let seconds = simulation.now.seconds - 1_800_000_000
        state.withLock { $0.log.append("day \(seconds / 86_400) +\(seconds % 86_400): \(text)") }
    }

    // MARK: Life

    func run() async throws {
        try await simulation.run { try await self.live() }
    }

    private func live() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for machine in 0..<simulation.random(2..<5) { group.addTask { try await self.live(machine) } }
            try await group.waitForAll()
        }
        try await verify("at the end")
        try await settle()
    }

    private func live(_ machine: Int) async throws {
        var files = makeFiles([])
        for _ in 0..<simulation.random(3..<8) {
            await simulation.sleep(Int64(simulation.random(0..<pause)))
            let killedAfter = simulation.chance(25) ? simulation.random(1..<50) : nil
            let action = simulation.random(0..<100)
            do {
                switch action {
                case ..<45:
                    files = makeFiles(files)
                    try await backUp(files, machine, killedAfter)
                case ..<65: try await forget(machine, killedAfter)
                case ..<90: try await prune(machine, killedAfter)
                case ..<96: try await tag(machine, killedAfter)
                case ..<97:
                    note("\(machine) repairs packs")
                    let simulation = simulation
                    _ = try await open(machine, killedAfter).repairPacks(now: { simulation.now })
                case ..<98:
                    note("\(machine) repairs snapshots")
                    let repository = try await open(machine, killedAfter)
                    _ = try await repository.repairSnapshots(repository.snapshots())
                default:
                    note("\(machine) repairs the index")
                    try await open(machine, killedAfter).repairIndex()
                }
            } catch is ModelStore.Killed {
                count { $0.kills += 1 }
                note("\(machine) was killed")
            } catch let error as HawserError
                where error.code == .pruneInTheWay || error.code == .unavailable || error.code == .notFound
            {
                if error.code == .pruneInTheWay { count { $0.inTheWay += 1 } }
                note("\(machine) failed: \(error)")
            } catch let error as HawserError where error.code == .damaged && isHasty {
                // A prune without grace that is killed can leave a snapshot without refs; the next one says so and stops.
                note("\(machine) repairs: \(error)")
                try await repair()
            }
        }
    }

    /// Contents come from a small set of chunks, so that machines and runs share them.
    private func makeFiles(_ old: [TestFile]) -> [TestFile] {
        var files = old.filter { _ in simulation.chance(80) }
        for _ in 0..<simulation.random(1..<5) {
            let path = "f\(simulation.random(0..<30))"
            files.removeAll { $0.path == path }
            let bytes = (0..<simulation.random(1..<5)).flatMap { _ in
                Corpus.incompressible(Self.chunkLength, seed: UInt64(simulation.random(0..<25)))
            }
            files.append(TestFile(path, bytes))
        }
        return files.sorted { $0.path < $1.path }
    }

    private static let chunkLength = 200

    private func open(_ machine: Int?, _ killedAfter: Int? = nil, isSlow: Bool = false) async throws -> Repository {
        var store: any ObjectStore = memory
        if machine != nil {
            let model = ModelStore(
                memory,
                simulation,
                killedAfter: killedAfter,
                isSlow: isSlow,
                sleepsLong: !isHasty
            ) { self.note("\(machine ?? -1) \($0)") }
            store = RetryingStore(model, clock: ManualClock(advancesItself: true))
        }
        let target = TargetDataMover(store: store)
        // The keys are the same each time, what is marked is not.
        var unlocked = unlocked
        unlocked.condemned = try await RepositoryOverview.load(from: target).condemned
        var repository = try await Repository.open(
            at: target,
            unlocked,
            cacheRoot: machine.map { folder + "/\($0)" }
        )
        // Differences, where only large repositories have them.
        repository.smallRefs = 1
        return repository
    }

    // MARK: What machines do

    private func backUp(_ files: [TestFile], _ machine: Int, _ killedAfter: Int?) async throws {
        note("\(machine) backs up \(files.count) files")
        // Others forget and prune while it runs.
        let repository = try await open(machine, killedAfter, isSlow: isHasty)
        _ = try await repository.recoverJournalledPacks()
        let parent = try await repository.snapshots().last
        for _ in 0..<3 {
            repository.index.condemn(try await repository.condemnedPacks())
            do {
                if simulation.chance(20) { try await checkpoint(files, machine, repository) }
                var base: Refs.Base?
                if let parent { base = try await repository.fullRefs(of: parent.id) }
                let session = try TestSession(repository, chunkLength: Self.chunkLength)
                let id = try await session.backUp(
                    files,
                    at: simulation.now.seconds,
                    base: base,
                    host: "machine \(machine)"
                )
                state.withLock {
                    $0.snapshots[id] = files
                    $0.counts.backups += 1
                }
                return note("\(machine) has backed up \(id.hex.prefix(8))")
            } catch let condemnation as RepositoryWriter.Condemnation {
                count { $0.condemnations += 1 }
                note("\(machine) finds \(condemnation.packs.count) packs marked")
                repository.index.condemn(condemnation.packs)
            }
        }
    }

    private func checkpoint(_ files: [TestFile], _ machine: Int, _ repository: Repository) async throws {
        let some = Array(files.prefix(simulation.random(1..<files.count + 1)))
        let session = try TestSession(repository, chunkLength: Self.chunkLength)
        let root = try await session.store(some)
        var checkpoint = Checkpoint(
            started: simulation.now,
            time: simulation.now,
            hostname: Array("machine \(machine)".utf8),
            username: [],
            paths: [Array("/data".utf8)],
            programVersion: "test"
        )
        if let last = EntryPath(Array((some.last?.path ?? "").utf8)) {
            checkpoint.prefix = Checkpoint.Prefix(tree: root.id, treeHeight: root.height, lastPath: last)
        }
        try await session.writer.commit(checkpoint)
        count { $0.checkpoints += 1 }
    }

    /// Whoever begins to remove a snapshot does not rely on it any more.
    private func give(up id: ObjectName) -> [TestFile]? { state.withLock { $0.snapshots.removeValue(forKey: id) } }

    private func anySnapshot() -> ObjectName? {
        let ids = state.withLock { $0.snapshots.keys.sorted() }
        return ids.isEmpty ? nil : ids[simulation.random(ids.indices)]
    }

    private func forget(_ machine: Int, _ killedAfter: Int?) async throws {
        guard let id = anySnapshot(), give(up: id) != nil else { return }
        note("\(machine) forgets \(id.hex.prefix(8))")
        try await open(machine, killedAfter).forget([id])
    }

    private func tag(_ machine: Int, _ killedAfter: Int?) async throws {
        guard let id = anySnapshot(), let files = give(up: id) else { return }
        note("\(machine) tags \(id.hex.prefix(8))")
        let repository = try await open(machine, killedAfter)
        let stored = StoredSnapshot(id: id, snapshot: try await repository.snapshot(id))
        let new = try await repository.retag(
            stored,
            .change(adding: [Array("x\(simulation.now.seconds)".utf8)], removing: [])
        )
        if let new { state.withLock { $0.snapshots[new] = files } }
    }

    private func prune(_ machine: Int?, _ killedAfter: Int?) async throws {
        var options = PruneOptions()
        if machine == nil || simulation.chance(60) { options.maxUnused = .bytes(0) }
        if machine != nil, simulation.chance(10) { options.maxUnused = .unlimited }
        if machine != nil, isHasty {
            let ages = [0, 0, 60]
            options.grace = PruneOptions.Grace(
                candidateAge: .seconds(ages[simulation.random(0..<3)]),
                deletionDelay: .seconds(ages[simulation.random(0..<3)])
            )
        }
        note("\(machine ?? -1) prunes, \(options.maxUnused), \(options.grace.deletionDelay)")
        let simulation = simulation
        let pruner = Pruner(try await open(machine, killedAfter), options: options, now: { simulation.now })
        let summary = try await pruner.run()
        count {
            $0.marked += summary.marked.count
            $0.deleted += summary.deleted.count
            $0.moved += summary.rewritten.count
        }
        guard isHasty || summary.missingChunks == 0 else {
            throw HawserError(.internalError, "\(summary.missingChunks) chunks are said to be missing")
        }
        note("\(machine ?? -1) has pruned: marked \(summary.marked.count), deleted \(summary.deleted.count)")
        try await verify("after a prune")
    }

    // MARK: What must be true

    private func verify(_ when: String) async throws {
        let snapshots = state.withLock { $0.snapshots }
        var repository = try await open(nil)
        for (id, files) in snapshots {
            var failures = 0
            while true {
                do {
                    try await verify(id, files, repository)
                    break
                } catch let error as HawserError {
                    // It may have been given up meanwhile.
                    guard state.withLock({ $0.snapshots[id] }) != nil else { break }
                    failures += 1
                    // A hasty prune can take packs from a reader, but not from one that looks again.
                    guard isHasty, failures < 3 else {
                        let text = "\(when), snapshot \(id.hex.prefix(8)) is not whole"
                        throw HawserError(.internalError, text, cause: error)
                    }
                    repository = try await open(nil)
                }
            }
        }
    }

    private func verify(_ id: ObjectName, _ files: [TestFile], _ repository: Repository) async throws {
        let reader = BlobReader(repository)
        var contents: [String: [UInt8]] = [:]
        for try await entry in repository.entries(of: try await repository.snapshot(id).root) {
            var bytes: [UInt8] = []
            try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
                if case .data(let id, _) = extent { bytes += try await reader.read(id, type: .data) }
            }
            contents[String(decoding: entry.path.bytes, as: UTF8.self)] = bytes
        }
        guard contents == Dictionary(uniqueKeysWithValues: files.map { ($0.path, $0.bytes) }) else {
            throw HawserError(.damaged, "Files have other contents.")
        }
    }

    /// Two undisturbed prunes, and everything is gone that nothing needs.
    private func settle() async throws {
        // What killed backups have committed without a word; one of them may have been taken for dead before.
        let known = state.withLock { Set($0.snapshots.keys) }
        let unknown: [ObjectName] = try await memory.objects(.snapshot).reduce(into: []) { ids, info in
            if let id = info.key.name, !known.contains(id) { ids.append(id) }
        }
        try await open(nil).forget(unknown)
        await simulation.sleep(31 * 86_400)
        if isHasty { try await repair() }
        try await prune(nil, nil)
        await simulation.sleep(2 * 86_400)
        try await prune(nil, nil)
        try await verify("in the end")
        let repository = try await open(nil)
        let check = try await RepositoryCheck(repository, data: .all).run()
        guard check.findings.isEmpty else {
            throw HawserError(.internalError, "check: \(check.findings.map { "\($0.key): \($0.error)" })")
        }
        try await expectNothingUseless(repository)
    }

    private func repair() async throws {
        let repository = try await open(nil)
        let repaired = try await repository.repairSnapshots(repository.snapshots())
        // One that nobody was told of can be there for a moment, until its session finds its refs gone.
        let losses = repaired.losses.filter { loss in state.withLock { $0.snapshots[loss.key] != nil } }
        guard losses.isEmpty else {
            throw HawserError(.internalError, "snapshots have lost something: \(losses)")
        }
    }

    private func expectNothingUseless(_ repository: Repository) async throws {
        let snapshots = try await repository.snapshots()
        let roots = snapshots.map { TreeNode(root: $0.snapshot.root) }
        var used = try UsedChunks(repository.index, cache: repository.cache)
        _ = try await used.markTrees(roots, in: repository) { _ in }
        var useless = 0
        try used.forEachChunk { isUsed, places in
            if !isUsed || places.count > 1 { useless += 1 }
        }
        let packs = try await PackTable.list(repository.target)
        let indexed = Set(repository.index.packs)
        let refs = try await refsOfNobody(Set(snapshots.map(\.id)))
        guard useless == 0, packs.packs.allSatisfy(indexed.contains), refs.isEmpty else {
            throw HawserError(
                .internalError,
                "\(useless) of \(repository.index.packs.count) chunks are useless, \(packs.count) packs, refs of nobody: \(refs)"
            )
        }
    }

    private func refsOfNobody(_ living: Set<ObjectName>) async throws -> [ObjectKey] {
        try await memory.objects(.refs).reduce(into: []) { keys, info in
            if let id = info.key.snapshot, !living.contains(id) { keys.append(info.key) }
        }
    }
}
