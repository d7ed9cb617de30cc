import HawserFormat
import HawserStorage
import HawserTransfer

extension RepositoryCheck {
    /// Every snapshot needs refs that name all its packs: what they don't name can be deleted at any time. As for a prune,
    /// those of the highest generation count.
    ///
    /// - Returns: what these promise to be locked.
    func checkRefs(
        _ snapshots: [StoredSnapshot],
        _ graph: CheckGraph,
        _ index: ChunkIndex,
        _ log: inout CheckLog
    ) async throws -> PromisedLocks {
        let ids = Set(snapshots.map(\.id))
        var keys: [ObjectName: [ObjectKey]] = [:]
        var absent: Set<ObjectName> = []
        for try await info in repository.target.list(.refs) {
            guard let id = info.key.snapshot else { continue }
            if ids.contains(id) { keys[id, default: []].append(info.key) } else { absent.insert(id) }
        }
        if !absent.isEmpty {
            // Made since the check began, not readable, or of checkpoints.
            for kind in [ObjectKind.snapshot, .checkpoint] {
                for try await info in repository.target.list(kind) {
                    if let id = info.key.name { absent.remove(id) }
                }
            }
        }
        log.summary.absentSnapshots = absent.sorted()
        let packs = index.packs
        let repository = repository
        var locks = PromisedLocks(repository)
        for stored in snapshots {
            var named: Set<PackReference> = []
            var newest: UInt32?
            for key in keys[stored.id] ?? [] {
                do {
                    let refs = try await repository.resolvedRefs(key)
                    if refs.generation < newest ?? 0 { continue }
                    if refs.generation > newest ?? 0 { named = [] }
                    newest = refs.generation
                    named.formUnion(refs.packs)
                } catch let error as HawserError {
                    try log.addUnlessGone(key, error, remedy: .repairSnapshots)
                }
            }
            if newest == nil, let packs = try? await repository.packs(of: stored.id) {
                // A prune has put others in their place since they were listed.
                (newest, named) = (0, Set(packs))
            }
            guard newest != nil else {
                // Forgotten since the check began.
                if try await repository.target.head(.named(.snapshot, stored.id)) == nil { continue }
                let error = HawserError(
                    .damaged,
                    "The snapshot has no refs that can be read. Nothing of the repository is deleted while it is so."
                )
                log.add(ObjectKind.refs.prefix + stored.id.hex + "/", error, remedy: .repairSnapshots)
                continue
            }
            locks.add(stored.id, packs: named, begun: stored.snapshot.summary.started)
            let unnamed = unnamedPacks(TreeNode(root: stored.snapshot.root), graph, packs, named)
            if let first = unnamed.first {
                let error = HawserError(
                    .damaged,
                    "The snapshot's refs do not name \(unnamed.count) packs that it needs, such as \(first.key): "
                        + "pruning could delete them."
                )
                log.add(ObjectKind.refs.prefix + stored.id.hex + "/", error, remedy: .repairSnapshots)
            }
        }
        return locks
    }

    private func unnamedPacks(
        _ root: TreeNode,
        _ graph: CheckGraph,
        _ packs: [PackReference],
        _ named: Set<PackReference>
    ) -> [PackReference] {
        guard let root = graph.number(of: root.key) else { return [] }
        let isNamed = packs.map(named.contains)
        var unnamed: Set<UInt32> = []
        graph.forEachNode(from: root) { node in
            for pack in node.packs where !isNamed[Int(pack)] { unnamed.insert(pack) }
            for copies in node.copies where !copies.contains(where: { isNamed[Int($0)] }) {
                unnamed.insert(copies[0])
            }
        }
        return unnamed.map { packs[Int($0)] }.sorted { $0.name < $1.name }
    }
}
