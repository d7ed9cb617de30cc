import HawserFormat
import HawserStorage
import HawserTransfer

/// A metadata chunk that trees reach: a page, a content list, or the attributes of an entry.
struct TreeNode: Sendable {
    enum Role: Hashable, Sendable {
        case page(level: Int)
        case list(level: Int)
        case attributes
    }

    /// The same chunk in two roles is two nodes.
    struct Key: Hashable, Sendable {
        var id: ChunkID
        var role: Role
    }

    var key: Key
    /// Of a page that is not a root: what its parent says about it.
    var expected: TreeChild?

    init(_ id: ChunkID, _ role: Role, expected: TreeChild? = nil) {
        key = Key(id: id, role: role)
        self.expected = expected
    }

    init(root: TreeRoot) {
        self.init(root.id, .page(level: root.height))
    }

    var type: ChunkType {
        switch key.role {
        case .page: .treePage
        case .list: .contentList
        case .attributes: .attribute
        }
    }
}

/// A node, decoded.
enum NodeContent: Sendable {
    case page(TreePage)
    case list(ContentList)
    case attributes

    /// The nodes right below, in order.
    var children: [TreeNode] {
        switch self {
        case .page(let page):
            switch page.items {
            case .children(let children):
                return children.map { TreeNode($0.id, .page(level: page.level - 1), expected: $0) }
            case .entries(let entries):
                return entries.flatMap(\.nodes)
            }
        case .list(let list):
            guard case .children(let children) = list.items else { return [] }
            return children.map { TreeNode($0.id, .list(level: list.level - 1)) }
        case .attributes:
            return []
        }
    }

    /// The data chunks that the node itself names, with their lengths.
    var dataChunks: [(id: ChunkID, length: Int)] {
        switch self {
        case .page(let page):
            guard case .entries(let entries) = page.items else { return [] }
            return entries.flatMap(\.dataChunks)
        case .list(let list):
            guard case .extents(let extents) = list.items else { return [] }
            return extents.dataChunks
        case .attributes:
            return []
        }
    }
}

extension Entry {
    /// The metadata chunks that it needs besides its page.
    var nodes: [TreeNode] {
        var nodes: [TreeNode] = []
        if case .list(let id, let height) = content { nodes.append(TreeNode(id, .list(level: height))) }
        if let attributeBlob { nodes.append(TreeNode(attributeBlob, .attributes)) }
        return nodes
    }

    /// The data chunks that it names itself.
    var dataChunks: [(id: ChunkID, length: Int)] {
        if case .extents(let extents) = content { extents.dataChunks } else { [] }
    }
}

extension [Extent] {
    var dataChunks: [(id: ChunkID, length: Int)] {
        compactMap { extent in
            if case .data(let id, let length) = extent { (id, length) } else { nil }
        }
    }
}

/// Reads nodes for many tasks at a time: each metadata pack is fetched once for all that are near it.
final class NodeReader: Sendable {
    private let repository: Repository
    private let packs: PackCache

    init(_ repository: Repository) {
        self.repository = repository
        packs = PackCache(repository)
    }

    func read(_ node: TreeNode) async throws -> NodeContent {
        let bytes = try await blob(node.key.id, node.type)
        switch node.key.role {
        case .page(let level):
            let page = try TreePage(decoding: bytes, level: level)
            if let expected = node.expected {
                guard page.first == expected.first, page.entryCount == expected.entryCount,
                    page.byteCount == expected.byteCount
                else {
                    throw HawserError(
                        .damaged,
                        "A tree page is not the one that its place asks for.",
                        place: node.key.id.hex
                    )
                }
            }
            return .page(page)
        case .list(let level):
            return .list(try ContentList(decoding: bytes, level: level))
        case .attributes:
            _ = try AttributeBlob.decode(bytes)
            return .attributes
        }
    }

    private func blob(_ id: ChunkID, _ type: ChunkType) async throws -> [UInt8] {
        try await repository.withPlace(of: id) { try await blob($0, type) }
    }

    private func blob(_ record: IndexRecord, _ type: ChunkType) async throws -> [UInt8] {
        let pack = repository.index.pack(record.packNumber)
        guard record.blob.type == type, pack.isMetadata else {
            throw HawserError(.damaged, "A chunk is of another kind than it is used for.", place: pack.key.path)
        }
        let whole = try await packs.bytes(of: record.packNumber, pack)
        let end = Int(record.blob.offset) + Int(record.blob.storedLength)
        guard end <= whole.count else { throw Repository.wrongLength(pack, whole.count) }
        return try repository.open(
            whole[Int(record.blob.offset)..<end],
            record.blob,
            with: Compressor(method: .off),
            place: pack.key
        )
    }
}

/// The metadata packs that were used last. Whoever asks for one that is on its way waits for it.
private actor PackCache {
    private let repository: Repository
    /// Last used last.
    private var held: [(number: UInt32, bytes: [UInt8])] = []
    private var waiting: [UInt32: [CheckedContinuation<[UInt8], any Error>]] = [:]

    /// Eight packs of the usual size.
    private static let heldBytes = 8 * PackLayout.metadataSize

    init(_ repository: Repository) {
        self.repository = repository
    }

    func bytes(of number: UInt32, _ pack: PackReference) async throws -> [UInt8] {
        if let place = held.firstIndex(where: { $0.number == number }) {
            let found = held.remove(at: place)
            held.append(found)
            return found.bytes
        }
        if waiting[number] != nil {
            return try await withCheckedThrowingContinuation { waiting[number]?.append($0) }
        }
        waiting[number] = []
        do {
            let bytes = try await repository.target.fetch(pack.key, range: nil)
            keep(number, bytes)
            for waiter in waiting.removeValue(forKey: number) ?? [] { waiter.resume(returning: bytes) }
            return bytes
        } catch {
            for waiter in waiting.removeValue(forKey: number) ?? [] { waiter.resume(throwing: error) }
            throw error
        }
    }

    private func keep(_ number: UInt32, _ bytes: [UInt8]) {
        held.append((number, bytes))
        var sum = held.reduce(0) { $0 + $1.bytes.count }
        while sum > Self.heldBytes, held.count > 1 { sum -= held.removeFirst().bytes.count }
    }
}

/// Visits every node that some trees reach, each once however many trees share it, on all cores.
struct NodeWalk<Digest: Sendable>: Sendable {
    let reader: NodeReader
    /// What to keep of a node; called on any thread.
    let digest: @Sendable (TreeNode, Swift.Result<NodeContent, HawserError>) -> Digest

    /// As many as cost more than handing them to a task does.
    private static var batchSize: Int { 8 }

    /// - Parameter take: called with each node, in no particular order, and with the nodes right below it.
    /// - Throws: errors of the storage that are no fault of a single object.
    func run(
        _ roots: [TreeNode],
        take: (TreeNode, Digest, _ children: [TreeNode]) throws -> Void
    ) async throws {
        var known: Set<TreeNode.Key> = []
        try await run(roots, isNew: { known.insert($0.key).inserted }, take: take)
    }

    /// - Parameter isNew: whether a node was not asked for yet: for whoever can know that in less memory.
    func run(
        _ roots: [TreeNode],
        isNew: (TreeNode) throws -> Bool,
        take: (TreeNode, Digest, _ children: [TreeNode]) throws -> Void
    ) async throws {
        // Last in, first out: it never holds more than one path from the root to the leaves, and their siblings.
        var stack: [TreeNode] = try roots.reversed().filter(isNew)
        try await withThrowingTaskGroup(of: [(TreeNode, Digest, [TreeNode])].self) { group in
            var running = 0
            while !stack.isEmpty || running > 0 {
                while running < 2 * Parallelism.cores, !stack.isEmpty {
                    let batch = Array(stack.suffix(Self.batchSize).reversed())
                    stack.removeLast(batch.count)
                    group.addTask { try await read(batch) }
                    running += 1
                }
                guard let results = try await group.next() else { break }
                running -= 1
                for (node, digest, children) in results {
                    try take(node, digest, children)
                    stack += try children.reversed().filter(isNew)
                }
            }
        }
    }

    private func read(_ batch: [TreeNode]) async throws -> [(TreeNode, Digest, [TreeNode])] {
        var results: [(TreeNode, Digest, [TreeNode])] = []
        for node in batch {
            do {
                let content = try await reader.read(node)
                results.append((node, digest(node, .success(content)), content.children))
            } catch let error as HawserError where !error.isRetryable && error.code != .accessDenied {
                results.append((node, digest(node, .failure(error)), []))
            }
        }
        return results
    }
}
