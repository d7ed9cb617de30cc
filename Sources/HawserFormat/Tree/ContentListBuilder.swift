/// Collects the extents of one file while it is read. Up to `Entry.extentLimit` they stay in the entry; more become
/// content-list blobs, which end where the chunk ids say, so that an insertion in a huge file changes few of them.
///
/// It is a value, and `finish` leaves it as it is: so a checkpoint can be finished while the file is read on.
/// Memory: one open blob a level.
public struct ContentListBuilder: Sendable {
    /// One open blob.
    fileprivate struct Level: Sendable {
        var body: [UInt8] = []
        var count = 0
        var length: UInt64 = 0
        var only: ContentList.Child?
        var finishedCount = 0
    }

    private let id: TreeBuilder.ChunkIDFunction
    private var levels: [Level] = [Level()]
    /// The first extents, as long as they are few enough for the entry.
    private var head: [Extent] = []
    private var extentCount = 0
    /// The last extent, which can still grow.
    private var open: Extent?
    /// Bytes of content so far.
    public private(set) var length: UInt64 = 0

    /// - Parameter id: the keyed hash that names chunks.
    public init(id: @escaping TreeBuilder.ChunkIDFunction) {
        self.id = id
    }

    /// Neighbours of zeros, and neighbours of holes, become one extent.
    ///
    /// - Returns: the blobs that became complete; they must be stored. Usually none.
    /// - Throws: `invalidArgument` if a length is not positive, a chunk has 2^24 bytes or more, or the file 2^63.
    public mutating func append(_ extent: Extent) throws -> [TreeBlob] {
        guard extent.isValid else {
            throw HawserError(.invalidArgument, "The length of an extent is out of range.")
        }
        let sum = length + UInt64(extent.length)
        guard sum <= Entry.sizeLimit else {
            throw HawserError(.invalidArgument, "A file of 8 EiB or more can't be stored.")
        }
        length = sum
        if let last = open, last.merges(with: extent) {
            open = last.growing(by: extent.length)
            return []
        }
        var blobs: [TreeBlob] = []
        flushOpen(&blobs)
        open = extent
        return blobs
    }

    /// - Returns: the last blobs, which must be stored, and the content: empty inline bytes, extents, or a list.
    public func finish() -> (blobs: [TreeBlob], content: Content) {
        var copy = self
        return copy.close()
    }

    private mutating func close() -> (blobs: [TreeBlob], content: Content) {
        var blobs: [TreeBlob] = []
        flushOpen(&blobs)
        if extentCount == 0 { return ([], .inline([])) }
        if extentCount <= Entry.extentLimit { return ([], .extents(head)) }
        var height = 0
        var top = levels[0].count > 0 ? finishLevel(0, &blobs) : nil
        for level in levels.indices.dropFirst() {
            if let child = top { add(child, to: level) }
            // The root is the lowest level that has one blob.
            if levels[level].finishedCount == 0, levels[level].count == 1, let only = levels[level].only {
                top = only
                break
            }
            height = level
            top = levels[level].count > 0 ? finishLevel(level, &blobs) : nil
        }
        // The highest level is never without an item, so its blob is the root by now.
        let root = top ?? finishLevel(0, &blobs)
        return (blobs, .list(root.id, height: height))
    }

    private mutating func flushOpen(_ blobs: inout [TreeBlob]) {
        guard let extent = open else { return }
        open = nil
        extentCount += 1
        if extentCount <= Entry.extentLimit {
            head.append(extent)
        } else {
            head = []
        }
        levels[0].body.append(extent: extent)
        levels[0].count += 1
        levels[0].length += UInt64(extent.length)
        guard levels[0].isComplete(after: extent.chunk) else { return }
        var child = finishLevel(0, &blobs)
        for level in 1... {
            if level == levels.count { levels.append(Level()) }
            add(child, to: level)
            guard levels[level].isComplete(after: child.id) else { break }
            child = finishLevel(level, &blobs)
        }
    }

    private mutating func add(_ child: ContentList.Child, to level: Int) {
        levels[level].body.append(identifier: child.id)
        levels[level].body.append(varint: child.length)
        levels[level].count += 1
        levels[level].length += child.length
        levels[level].only = child
    }

    private mutating func finishLevel(_ level: Int, _ blobs: inout [TreeBlob]) -> ContentList.Child {
        let bytes = [ContentList.version, UInt8(level)] + levels[level].body
        let child = ContentList.Child(
            id: bytes.withUnsafeBytes { id($0, .contentList) },
            length: levels[level].length
        )
        blobs.append(TreeBlob(id: child.id, type: .contentList, bytes: bytes))
        levels[level] = Level(finishedCount: levels[level].finishedCount + 1)
        return child
    }
}

extension ContentListBuilder.Level {
    /// Zeros and holes have no id, so they never end a blob but by its length.
    fileprivate func isComplete(after id: ChunkID?) -> Bool {
        if body.count >= ContentList.targetLimit { return true }
        guard body.count >= ContentList.minimumLength, let id else { return false }
        // The first 10 bits: 1 of 1,024 ids ends a blob. Extents have 36 bytes, so with both limits 36 KiB on average.
        return id.prefix64 >> 54 == 0
    }
}

extension Extent {
    fileprivate var chunk: ChunkID? {
        if case .data(let id, _) = self { id } else { nil }
    }

    /// - Precondition: the sum of both lengths is in range.
    fileprivate func growing(by length: Int) -> Extent {
        switch self {
        case .data: self
        case .zero(let own): .zero(length: own + length)
        case .hole(let own): .hole(length: own + length)
        }
    }
}
