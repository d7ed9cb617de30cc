import HawserFormat
import HawserStorage
import HawserTransfer

/// Proves that a repository holds all that its snapshots need, or says what is wrong and what that hurts.
///
/// Everything is read from the storage: the local cache can neither hide damage nor invent it. Other sessions may go on;
/// the snapshots that are checked are those at the beginning, without what is forgotten meanwhile.
public struct RepositoryCheck: Sendable {
    let repository: Repository
    let data: CheckData
    let memory: Int

    /// - Parameters:
    ///   - data: which packs are read whole, besides the structure.
    ///   - memory: bytes for packs that are being read.
    public init(_ repository: Repository, data: CheckData = .none, memory: Int = 128 << 20) {
        self.repository = repository
        self.data = data
        self.memory = memory
    }

    /// - Parameter report: called for each finding, of trees and refs when all of these have been seen; one call at a time.
    /// - Throws: errors of the storage or the network that say nothing about the repository; `CancellationError`.
    public func run(_ report: @escaping @Sendable (CheckEvent) -> Void = { _ in }) async throws -> CheckSummary {
        var log = CheckLog(report: report)
        report(.began(.keys))
        try await checkConfigurations(&log)
        try await checkKeySlots(&log)
        // Readers take snapshots before the index, and the index before the packs: what a backup stores meanwhile is
        // then known to the later ones.
        report(.began(.snapshots))
        var snapshots = try await readSnapshots(&log)
        report(.began(.index))
        var index = try await loadIndex(&log)
        var damage = CheckDamage()
        report(.began(.packs))
        try await comparePacks(index, &damage, &log)
        try await readData(repository.with(index), &damage, &log)
        var structure = try await checkStructure(snapshots, index, damage, log)
        if structure.log.summary.findings.count > log.summary.findings.count {
            // Since they were listed, snapshots may have been forgotten, and a prune may have moved and deleted packs.
            let gone = try await repository.target.absent(of: snapshots.map { .named(.snapshot, $0.id) })
            var silent = CheckLog { _ in }
            let now = try await loadIndex(&silent)
            if !gone.isEmpty || Set(now.packs) != Set(index.packs) {
                snapshots.removeAll { gone.contains(.named(.snapshot, $0.id)) }
                damage = damage.renumbered(from: index.packs, to: now.packs)
                index = now
                index.condemn(try await condemned())
                structure = try await checkStructure(snapshots, index, damage, log)
            }
        }
        log.adopt(structure.log)
        try await checkLocks(structure.promised, &log)
        try await checkOthers(&log)
        if !structure.damage.isEmpty {
            report(.began(.harm))
            try await findHarm(snapshots, structure.graph, repository.with(index), structure.damage, &log)
        }
        log.summary.snapshots = snapshots.count
        return log.summary
    }

    /// Trees, and whether refs name what they need. Findings are not reported yet.
    private func checkStructure(
        _ snapshots: [StoredSnapshot],
        _ index: ChunkIndex,
        _ damage: CheckDamage,
        _ log: CheckLog
    ) async throws -> (graph: CheckGraph, damage: CheckDamage, promised: PromisedLocks, log: CheckLog) {
        var damage = damage
        var silent = CheckLog { event in
            if case .found = event { return }
            log.report(event)
        }
        silent.summary = log.summary
        log.report(.began(.trees))
        let graph = try await readTrees(snapshots, repository.with(index), &damage, &silent)
        log.report(.began(.refs))
        let promised = try await checkRefs(snapshots, graph, index, &silent)
        return (graph, damage, promised, silent)
    }

    private func checkConfigurations(_ log: inout CheckLog) async throws {
        var earlier: (generation: UInt32, name: ObjectName)?
        var keys: [ObjectKey] = []
        for try await info in repository.target.list(.config) { keys.append(info.key) }
        var next: UInt32 = 1
        for key in keys.sorted(by: { $0.generation ?? 0 < $1.generation ?? 0 }) {
            guard let generation = key.generation else { continue }
            if generation > next {
                // The highest one is all that is needed.
                let error = HawserError(.damaged, "This configuration and maybe those up to \(key) are missing.")
                log.add(ObjectKind.config.prefix + String(next), error, .warning)
            }
            next = generation &+ 1
            do {
                let bytes = try await repository.target.fetch(key, range: nil)
                let config = try RepositoryConfig(decoding: bytes, ring: repository.ring)
                guard config.header.generation == generation else {
                    throw HawserError(.damaged, "The configuration is under a number that is not its own.")
                }
                if let earlier, earlier.generation + 1 == generation, config.header.previous != earlier.name {
                    throw HawserError(.damaged, "The configuration names another predecessor than there is.")
                }
                earlier = (generation, ObjectName(hashOf: bytes))
            } catch let error as HawserError {
                try log.addUnlessGone(key, error)
            }
        }
    }

    private func checkKeySlots(_ log: inout CheckLog) async throws {
        for try await info in repository.target.list(.keySlot) {
            guard let name = info.key.name else { continue }
            do {
                _ = try KeySlot(decoding: await repository.target.fetch(info.key, range: nil), name: name)
            } catch let error as HawserError {
                try log.addUnlessGone(info.key, error, remedy: .removeKey)
            }
        }
    }

    private func readSnapshots(_ log: inout CheckLog) async throws -> [StoredSnapshot] {
        var keys: [ObjectKey] = []
        for try await info in repository.target.list(.snapshot) { keys.append(info.key) }
        var snapshots: [StoredSnapshot] = []
        let repository = repository
        try await withBoundedTasks(over: keys, width: Parallelism.requests) { key in
            try await Outcome(key) {
                try Snapshot(decoding: await repository.target.fetchVerified($0), sealer: repository.objects)
            }
        } take: { outcome in
            switch outcome.result {
            case .success(let snapshot):
                if let id = outcome.key.name { snapshots.append(StoredSnapshot(id: id, snapshot: snapshot)) }
            case .failure(let error): try log.addUnlessGone(outcome.key, error, remedy: .forget)
            }
        }
        return snapshots.sorted { ($0.snapshot.time, $0.id) < ($1.snapshot.time, $1.id) }
    }

    /// Checkpoints only spare work, so damage there costs no data; a condemned object that can't be read stops backups.
    private func checkOthers(_ log: inout CheckLog) async throws {
        for try await info in repository.target.list(.checkpoint) {
            do {
                _ = try Checkpoint(
                    decoding: await repository.target.fetchVerified(info.key),
                    sealer: repository.objects
                )
            } catch let error as HawserError {
                try log.addUnlessGone(info.key, error, .warning)
            }
        }
        for try await info in repository.target.list(.condemned) {
            do {
                _ = try Condemned(decoding: await repository.target.fetchVerified(info.key))
            } catch let error as HawserError {
                try log.addUnlessGone(info.key, error)
            }
        }
    }
}

/// What came of reading one object, where a bad one must not keep from the others.
struct Outcome<Value: Sendable>: Sendable {
    var key: ObjectKey
    var result: Result<Value, HawserError>

    init(_ key: ObjectKey, _ body: (ObjectKey) async throws -> Value) async throws {
        self.key = key
        do {
            result = .success(try await body(key))
        } catch let error as HawserError {
            result = .failure(error)
        }
    }
}

extension CheckLog {
    /// Notes an object that can't be read.
    ///
    /// - Throws: the error when it is not the object's fault.
    @discardableResult
    mutating func addUnlessGone(
        _ key: ObjectKey,
        _ error: HawserError,
        _ severity: CheckFinding.Severity = .error,
        remedy: CheckFinding.Remedy? = nil
    ) throws -> Int? {
        if error.isRetryable { throw error }
        // Deleted since it was listed.
        if error.code == .notFound { return nil }
        return add(key.path, error, severity, remedy: remedy)
    }
}

extension Repository {
    /// This repository as seen through another index of it.
    func with(_ index: ChunkIndex) -> Repository {
        Repository(
            target: target,
            config: config,
            index: index,
            ids: ids,
            blobs: blobs,
            objects: objects,
            ring: ring,
            cache: cache,
            slot: slot,
            smallRefs: smallRefs
        )
    }
}
