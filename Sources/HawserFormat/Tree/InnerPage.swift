/// The open page of one level above the entries.
struct InnerPageWriter: Sendable {
    let level: Int
    private(set) var children: [TreeChild] = []
    private(set) var length = 0
    /// Pages of this level that have been finished.
    private(set) var finishedCount = 0

    init(level: Int) {
        self.level = level
    }

    mutating func append(_ child: TreeChild) {
        children.append(child)
        length += InnerPageCoding.length(of: child)
    }

    /// The page's bytes; the writer is ready for the next page.
    mutating func finish() -> [UInt8] {
        let page = InnerPageCoding.encode(children, level: level)
        children.removeAll(keepingCapacity: true)
        length = 0
        finishedCount += 1
        return page
    }
}

/// What follows version and level in an inner page: the number of children, then each.
enum InnerPageCoding {
    /// Length of the path, id, two counts.
    private static let minimumChildLength = 1 + 32 + 1 + 1

    static func encode(_ children: [TreeChild], level: Int) -> [UInt8] {
        var page: [UInt8] = [TreePage.version, UInt8(level)]
        page.append(varint: UInt64(children.count))
        for child in children {
            page.append(counted: child.first.bytes)
            page.append(identifier: child.id)
            page.append(varint: child.entryCount)
            page.append(varint: child.byteCount)
        }
        return page
    }

    static func length(of child: TreeChild) -> Int {
        let path = child.first.bytes.count
        return UInt64(path).varintLength + path + ChunkID.byteCount
            + child.entryCount.varintLength + child.byteCount.varintLength
    }

    static func read(_ reader: inout ByteReader) throws -> [TreeChild] {
        let count = try reader.readLength(limit: reader.remaining / minimumChildLength)
        guard count > 0 else { throw HawserError(.damaged, "An inner tree page is empty.") }
        var children: [TreeChild] = []
        children.reserveCapacity(count)
        for _ in 0..<count {
            let path = try reader.readBytes(limit: Entry.pathLimit)
            guard EntryPath.isValidPath(path) else {
                throw HawserError(.damaged, "A path in an inner tree page is not valid.")
            }
            let child = TreeChild(
                first: EntryPath(unchecked: Array(path)),
                id: try reader.readIdentifier(),
                entryCount: try reader.readVarint(),
                byteCount: try reader.readVarint()
            )
            guard child.entryCount > 0, children.last.map({ $0.first < child.first }) ?? true else {
                throw HawserError(.damaged, "The children of an inner tree page are not in order.")
            }
            children.append(child)
        }
        guard reader.isAtEnd else { throw HawserError(.damaged, "A tree page holds more than its children.") }
        return children
    }
}

extension UInt64 {
    /// Bytes of this number as a varint.
    var varintLength: Int { Swift.max(1, (bitWidth - leadingZeroBitCount + 6) / 7) }
}
