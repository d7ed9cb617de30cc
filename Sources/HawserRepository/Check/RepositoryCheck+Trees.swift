import HawserFormat
import HawserStorage
import HawserTransfer

/// What the check keeps of a node.
private struct NodeDigest: Sendable {
    var node = CheckGraph.Node()
    var missing = 0
    var error: HawserError?
    /// The pack in which the node lies.
    var pack: UInt32?
}

extension RepositoryCheck {
    /// Reads all that the snapshots' trees consist of, and looks up all chunks that they name.
    func readTrees(
        _ snapshots: [StoredSnapshot],
        _ fresh: Repository,
        _ damage: inout CheckDamage,
        _ log: inout CheckLog
    ) async throws -> CheckGraph {
        let index = fresh.index
        let walk = NodeWalk<NodeDigest>(reader: NodeReader(fresh)) { node, content in
            Self.digest(node, content, index)
        }
        var graph = CheckGraph()
        var missing = 0
        var unreadable: [ObjectKey: Int] = [:]
        var missingNodes: [TreeNode.Key] = []
        try await walk.run(snapshots.map { TreeNode(root: $0.snapshot.root) }) { node, digest, children in
            var digest = digest
            log.summary.nodes += 1
            missing += digest.missing
            if let error = digest.error {
                digest.node.isHurt = true
                if let pack = digest.pack {
                    let known = damage.finding(node.key.id, type: node.type, length: nil, in: index)
                    let key = index.pack(pack).key
                    let finding = known ?? unreadable[key] ?? log.add(key.path, error, remedy: .repairPacks)
                    if known == nil { unreadable[key] = finding }
                    damage.nodes[node.key] = finding
                } else {
                    missing += 1
                    missingNodes.append(node.key)
                }
            }
            graph.set(node.key, digest.node, children: children)
        }
        if missing > 0 {
            let error = HawserError(
                .damaged,
                "\(missing) times something needs a chunk that is not in the index, or is there with another length."
            )
            let finding = log.add("index/", error, remedy: .repairIndex)
            damage.missing = finding
            for key in missingNodes { damage.nodes[key] = finding }
        }
        return graph
    }

    private static func digest(
        _ node: TreeNode,
        _ content: Result<NodeContent, HawserError>,
        _ index: ChunkIndex
    ) -> NodeDigest {
        var digest = NodeDigest()
        var packs: Set<UInt32> = []
        func need(_ id: ChunkID, _ type: ChunkType, _ length: Int?) -> Bool {
            let records = index.findAll(id)
            guard let first = records.first, first.fits(type, length: length) else { return false }
            if records.count > 1 {
                digest.node.copies.append(records.map(\.packNumber))
            } else {
                packs.insert(first.packNumber)
            }
            return true
        }
        if need(node.key.id, node.type, nil) { digest.pack = index.find(node.key.id)?.packNumber }
        switch content {
        case .failure(let error): digest.error = error
        case .success(let content):
            for (id, length) in content.dataChunks where !need(id, .data, length) { digest.missing += 1 }
        }
        digest.node.isHurt = digest.missing > 0
        digest.node.packs = Array(packs)
        return digest
    }

    // MARK: Harm

    /// Goes through the hurt parts of all trees once more and notes whom each finding hurts.
    func findHarm(
        _ snapshots: [StoredSnapshot],
        _ graph: CheckGraph,
        _ fresh: Repository,
        _ damage: CheckDamage,
        _ log: inout CheckLog
    ) async throws {
        let isHurt = graph.hurtNodes(damage)
        let search = HarmSearch(
            reader: NodeReader(fresh),
            index: fresh.index,
            graph: graph,
            damage: damage,
            isHurt: isHurt
        )
        for stored in snapshots {
            try Task.checkCancellation()
            try await search.visit(TreeNode(root: stored.snapshot.root), of: stored, &log)
        }
    }
}

/// Finds the entries that damage hurts; reads only pages below which there are any.
private struct HarmSearch {
    let reader: NodeReader
    let index: ChunkIndex
    let graph: CheckGraph
    let damage: CheckDamage
    let isHurt: [Bool]

    func visit(_ node: TreeNode, of stored: StoredSnapshot, _ log: inout CheckLog) async throws {
        if let finding = damage.nodes[node.key] {
            let summary = stored.snapshot.summary
            log.addHarm(
                finding,
                stored.id,
                entries: node.expected?.entryCount
                    ?? (summary.files &+ summary.directories &+ summary.others),
                first: node.expected?.first ?? .root
            )
            return
        }
        guard isHurtBelow(node), case .page(let page) = try await read(node) else { return }
        switch page.items {
        case .children:
            for child in NodeContent.page(page).children { try await visit(child, of: stored, &log) }
        case .entries(let entries):
            for entry in entries {
                var findings: Set<Int> = []
                try await collect(entry.dataChunks, entry.nodes, &findings)
                for finding in findings.sorted() {
                    log.addHarm(finding, stored.id, entries: 1, first: entry.path)
                }
            }
        }
    }

    private func collect(
        _ chunks: [(id: ChunkID, length: Int)],
        _ nodes: [TreeNode],
        _ findings: inout Set<Int>
    ) async throws {
        for (id, length) in chunks {
            if let finding = damage.finding(id, type: .data, length: length, in: index) { findings.insert(finding) }
        }
        for node in nodes {
            if let finding = damage.nodes[node.key] {
                findings.insert(finding)
            } else if isHurtBelow(node), let content = try await read(node) {
                try await collect(content.dataChunks, content.children, &findings)
            }
        }
    }

    private func isHurtBelow(_ node: TreeNode) -> Bool {
        graph.number(of: node.key).map { isHurt[Int($0)] } ?? false
    }

    /// What could be read a moment ago; should it not be now, the rest is still worth telling.
    private func read(_ node: TreeNode) async throws -> NodeContent? {
        do {
            return try await reader.read(node)
        } catch is HawserError {
            return nil
        }
    }
}
