/// A blob of a content list, decoded: the extents of a file with more than `Entry.extentLimit`, or references to
/// blobs of the level below.
public struct ContentList: Hashable, Sendable {
    public enum Items: Hashable, Sendable {
        case extents([Extent])
        case children([Child])
    }

    public struct Child: Hashable, Sendable {
        public var id: ChunkID
        /// Bytes of content of everything below: 1 or more.
        public var length: UInt64

        public init(id: ChunkID, length: UInt64) {
            self.id = id
            self.length = length
        }
    }

    /// A list is not cut by its ids before this: below it a chunk that repeats itself would make a blob of each extent.
    public static let minimumLength = 8 << 10
    /// A list ends with the item that brings it to this many bytes.
    public static let targetLimit = 64 << 10
    /// The limit, the longest item and the head.
    public static let lengthLimit = (64 << 10) + 64
    /// Each blob has 190 items at least, so 2^63 bytes in chunks of one byte fit below.
    public static let maximumHeight = 15
    static let version: UInt8 = 1

    /// 0: the items are extents.
    public let level: Int
    public let items: Items
    /// Where each item begins, relative to the beginning of the list; then the length of all.
    private let starts: [UInt64]

    /// - Parameter level: the level that the entry or the referring blob gives.
    /// - Throws: `damaged`; `unsupported` for a blob of a later version.
    public init(decoding bytes: [UInt8], level: Int) throws {
        guard bytes.count <= Self.lengthLimit else { throw HawserError(.damaged, "A content list is too long.") }
        var reader = ByteReader(bytes)
        try reader.expect(version: Self.version, of: "content list")
        guard try Int(reader.read(UInt8.self)) == level, level <= Self.maximumHeight else {
            throw HawserError(.damaged, "A content list is not of the level that its place asks for.")
        }
        self.level = level
        var starts: [UInt64] = [0]
        if level == 0 {
            var extents: [Extent] = []
            while !reader.isAtEnd {
                let extent = try reader.readExtent()
                guard extents.last?.merges(with: extent) != true else {
                    throw HawserError(.damaged, "A content list is not canonical.")
                }
                extents.append(extent)
                try Self.append(UInt64(extent.length), to: &starts)
            }
            items = .extents(extents)
        } else {
            var children: [Child] = []
            while !reader.isAtEnd {
                let child = Child(id: try reader.readIdentifier(), length: try reader.readVarint())
                children.append(child)
                try Self.append(child.length, to: &starts)
            }
            items = .children(children)
        }
        guard starts.count > 1 else { throw HawserError(.damaged, "A content list is empty.") }
        self.starts = starts
    }

    /// Bytes of content that the list stands for. It must be what the entry or the referring blob says.
    public var length: UInt64 { starts[starts.count - 1] }

    public var count: Int { starts.count - 1 }

    /// Where in the list's content item `index` lies.
    ///
    /// - Precondition: `index` is in `0..<count`.
    public func range(of index: Int) -> Range<UInt64> { starts[index]..<starts[index + 1] }

    /// The item that holds the byte at `offset` from the beginning of this list; `nil` behind its end.
    public func index(covering offset: UInt64) -> Int? {
        offset < length ? starts.partitionPoint { $0 <= offset } - 1 : nil
    }

    private static func append(_ length: UInt64, to starts: inout [UInt64]) throws {
        let (end, overflow) = starts[starts.count - 1].addingReportingOverflow(length)
        guard length > 0, !overflow, end <= Entry.sizeLimit else {
            throw HawserError(.damaged, "The lengths in a content list are out of range.")
        }
        starts.append(end)
    }
}

extension [Extent] {
    /// The extent that holds the byte at `offset`, and where it begins; `nil` behind the end.
    public func extent(covering offset: UInt64) -> (index: Int, start: UInt64)? {
        var start: UInt64 = 0
        for (index, extent) in enumerated() {
            let (end, overflow) = start.addingReportingOverflow(UInt64(Swift.max(0, extent.length)))
            if overflow || offset < end { return (index, start) }
            start = end
        }
        return nil
    }
}
