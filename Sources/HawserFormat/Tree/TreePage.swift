/// A page of a tree, decoded: entries at level 0, references to pages of the level below at all others.
public struct TreePage: Hashable, Sendable {
    public enum Items: Hashable, Sendable {
        case entries([Entry])
        case children([TreeChild])
    }

    /// 0 for a page of entries; the distance to those for all others.
    public let level: Int
    public let items: Items

    /// A page ends after the item that brings it to this many bytes, if the cut rule did not end it before.
    public static let targetLimit = 256 << 10
    /// No page is longer: the target and one entry, which is below 68 KiB by the limits on its parts.
    public static let lengthLimit = 328 << 10
    /// Every inner page but the last of its level has two children or more, so 2^31 pages of entries fit below.
    public static let maximumHeight = 31
    /// The version byte that begins each page.
    static let version: UInt8 = 1

    /// Decodes a page strictly: only what a writer can have written is accepted.
    ///
    /// - Parameter level: the level that the referring page or the snapshot gives. A page that names itself, or one
    ///   of a wrong level, is found by this, so the way down always ends.
    /// - Throws: `damaged`; `unsupported` for a page of a later version.
    public init(decoding bytes: [UInt8], level: Int) throws {
        guard bytes.count <= Self.lengthLimit else { throw HawserError(.damaged, "A tree page is too long.") }
        var reader = ByteReader(bytes)
        try reader.expect(version: Self.version, of: "tree page")
        guard try Int(reader.read(UInt8.self)) == level, level <= Self.maximumHeight else {
            throw HawserError(.damaged, "A tree page is not of the level that its place asks for.")
        }
        self.level = level
        if level == 0 {
            items = .entries(try LeafPageReader.read(&reader))
        } else {
            items = .children(try InnerPageCoding.read(&reader))
        }
    }

    public var first: EntryPath? {
        switch items {
        case .entries(let entries): entries.first?.path
        case .children(let children): children.first?.first
        }
    }

    /// The path of the last entry, or the first path below the last child.
    public var last: EntryPath? {
        switch items {
        case .entries(let entries): entries.last?.path
        case .children(let children): children.last?.first
        }
    }

    /// Entries in the page or below it.
    public var entryCount: UInt64 {
        switch items {
        case .entries(let entries): UInt64(entries.count)
        case .children(let children): children.reduce(0) { $0.addingSaturated($1.entryCount) }
        }
    }

    /// Bytes of content of the entries in the page or below it.
    public var byteCount: UInt64 {
        switch items {
        case .entries(let entries): entries.reduce(0) { $0.addingSaturated($1.size) }
        case .children(let children): children.reduce(0) { $0.addingSaturated($1.byteCount) }
        }
    }

    /// The entry of this path in a page of entries.
    public func entry(at path: EntryPath) -> Entry? {
        guard case .entries(let entries) = items else { return nil }
        let index = entries.partitionPoint { $0.path < path }
        return index < entries.count && entries[index].path == path ? entries[index] : nil
    }

    /// The child below which `path` is, if the tree has it at all.
    public func child(covering path: EntryPath) -> TreeChild? {
        guard case .children(let children) = items else { return nil }
        let index = children.partitionPoint { $0.first <= path }
        return index > 0 ? children[index - 1] : nil
    }

    /// The children that can have entries in `range`, in order. The first may turn out to have none: a reference
    /// has no last path.
    public func children(overlapping range: PathRange) -> ArraySlice<TreeChild> {
        guard case .children(let children) = items else { return [] }
        let lower = max(0, children.partitionPoint { $0.first <= range.lower } - 1)
        let upper = range.upper.map { bound in children.partitionPoint { $0.first < bound } } ?? children.count
        return children[lower..<max(lower, upper)]
    }
}

/// A reference to a page: what an inner page records of each page below it.
public struct TreeChild: Hashable, Sendable {
    /// The path of the first entry below.
    public var first: EntryPath
    public var id: ChunkID
    /// Entries below, 1 or more.
    public var entryCount: UInt64
    /// Bytes of content of the files below, every hard link counted; 2^64 - 1 if it is that or more.
    public var byteCount: UInt64

    public init(first: EntryPath, id: ChunkID, entryCount: UInt64, byteCount: UInt64) {
        self.first = first
        self.id = id
        self.entryCount = entryCount
        self.byteCount = byteCount
    }
}

/// Where a tree begins: what a snapshot records.
public struct TreeRoot: Hashable, Sendable {
    public var id: ChunkID
    /// The level of the root page: 0 if it holds the entries.
    public var height: Int
    public var entryCount: UInt64
    /// Bytes of content of all files, every hard link counted; 2^64 - 1 if it is that or more.
    public var byteCount: UInt64

    public init(id: ChunkID, height: Int, entryCount: UInt64, byteCount: UInt64) {
        self.id = id
        self.height = height
        self.entryCount = entryCount
        self.byteCount = byteCount
    }
}

/// A blob of a tree that has to be stored, with its plain bytes.
public struct TreeBlob: Hashable, Sendable {
    public var id: ChunkID
    public var type: ChunkType
    public var bytes: [UInt8]

    public init(id: ChunkID, type: ChunkType, bytes: [UInt8]) {
        self.id = id
        self.type = type
        self.bytes = bytes
    }
}

extension UInt64 {
    /// Sums of sizes stop at the maximum: three sparse files of 8 EiB are enough to exceed it.
    func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension Array {
    /// How many elements satisfy the predicate, which must hold for a prefix of the array and for nothing behind it.
    func partitionPoint(_ isInPrefix: (Element) -> Bool) -> Int {
        var lower = 0
        var upper = count
        while lower < upper {
            let middle = lower + (upper - lower) / 2
            if isInPrefix(self[middle]) { lower = middle + 1 } else { upper = middle }
        }
        return lower
    }
}
