/// Builds the pages of a tree from entries in ascending order of their paths.
///
/// The same entries give the same pages whatever was built before, and an entry that is added, removed or changed
/// changes the pages on its way to the root and hardly any other. Memory: one open page a level.
///
/// It is a value, and `finish` leaves it as it is: so a checkpoint can be finished while the walk goes on.
public struct TreeBuilder: Sendable {
    /// Gives a blob its name.
    public typealias ChunkIDFunction = @Sendable (UnsafeRawBufferPointer, ChunkType) -> ChunkID

    private let key: TreeKey
    private let id: ChunkIDFunction
    private var leaf = LeafPageWriter()
    /// The open pages of levels 1, 2, …
    private var levels: [InnerPageWriter] = []
    /// The path of the entry that was appended last.
    public private(set) var last: EntryPath?
    /// Entries appended so far.
    public private(set) var entryCount: UInt64 = 0
    /// Bytes of content of the entries appended so far.
    public private(set) var byteCount: UInt64 = 0

    /// - Parameters:
    ///   - treeKey: the repository's tree secret, 32 bytes.
    ///   - id: the keyed hash that names chunks.
    public init(treeKey: [UInt8], id: @escaping ChunkIDFunction) {
        self.init(key: TreeKey(treeKey), id: id)
    }

    init(key: TreeKey, id: @escaping ChunkIDFunction) {
        self.key = key
        self.id = id
    }

    /// - Returns: the pages that became complete; they must be stored. Usually none.
    /// - Throws: `invalidArgument` if the entry does not come after the one before, or can't be stored (its message
    ///   says why). The builder is then unchanged and can go on.
    public mutating func append(_ entry: Entry) throws -> [TreeBlob] {
        if let last, !(last < entry.path) {
            throw HawserError(
                .invalidArgument,
                "This entry does not come after the one before it.",
                place: entry.path.description
            )
        }
        try leaf.append(entry)
        last = entry.path
        entryCount += 1
        byteCount = byteCount.addingSaturated(entry.size)
        guard leaf.length >= TreePage.targetLimit || key.ends(level: 0, after: entry.path) else { return [] }
        var blobs: [TreeBlob] = []
        var child = finishLeaf(&blobs)
        for level in 1... {
            if level > levels.count { levels.append(InnerPageWriter(level: level)) }
            levels[level - 1].append(child)
            guard isComplete(levels[level - 1], last: child) else { break }
            child = finishInner(level, &blobs)
        }
        return blobs
    }

    /// Closes all open pages.
    ///
    /// - Returns: the last pages, which must be stored, and the root. Without any entry the root is an empty page of
    ///   entries.
    public func finish() -> (blobs: [TreeBlob], root: TreeRoot) {
        var copy = self
        return copy.close()
    }

    private mutating func close() -> (blobs: [TreeBlob], root: TreeRoot) {
        var blobs: [TreeBlob] = []
        var height = 0
        var top = leaf.entryCount > 0 || levels.isEmpty ? finishLeaf(&blobs) : nil
        for level in levels.indices.map({ $0 + 1 }) {
            if let child = top { levels[level - 1].append(child) }
            let writer = levels[level - 1]
            // The root is the lowest level that has one page.
            if writer.finishedCount == 0, writer.children.count == 1 {
                top = writer.children[0]
                break
            }
            height = level
            top = writer.children.isEmpty ? nil : finishInner(level, &blobs)
        }
        // The highest level is never without a child, so its page is the root by now.
        let root = top ?? finishLeaf(&blobs)
        return (blobs, TreeRoot(id: root.id, height: height, entryCount: entryCount, byteCount: byteCount))
    }

    /// An inner page has two children at least, so each level has at most half as many pages as the one below.
    private func isComplete(_ writer: InnerPageWriter, last child: TreeChild) -> Bool {
        guard writer.children.count >= 2 else { return false }
        return writer.length >= TreePage.targetLimit || key.ends(level: writer.level, after: child.first)
    }

    private mutating func finishLeaf(_ blobs: inout [TreeBlob]) -> TreeChild {
        let (first, count, bytes) = (leaf.first, UInt64(leaf.entryCount), leaf.byteCount)
        let blob = makeBlob(leaf.finish())
        blobs.append(blob)
        return TreeChild(first: first, id: blob.id, entryCount: count, byteCount: bytes)
    }

    private mutating func finishInner(_ level: Int, _ blobs: inout [TreeBlob]) -> TreeChild {
        let children = levels[level - 1].children
        let blob = makeBlob(levels[level - 1].finish())
        blobs.append(blob)
        return TreeChild(
            first: children.first?.first ?? .root,
            id: blob.id,
            entryCount: children.reduce(0) { $0.addingSaturated($1.entryCount) },
            byteCount: children.reduce(0) { $0.addingSaturated($1.byteCount) }
        )
    }

    private func makeBlob(_ bytes: [UInt8]) -> TreeBlob {
        TreeBlob(id: bytes.withUnsafeBytes { id($0, .treePage) }, type: .treePage, bytes: bytes)
    }
}
