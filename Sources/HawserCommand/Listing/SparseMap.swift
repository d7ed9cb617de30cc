import Hawser

/// Where a file has data between its holes, written down as in GNU tar's format 1.0 of sparse files ("PAX Format, Version
/// 1.0" in its manual), which bsdtar, Python and Go read as well: a number of stretches, then offset and length of each, a
/// line each, filled up to a block.
struct SparseMap {
    /// A stretch of data, bytes.
    typealias Stretch = (offset: UInt64, length: UInt64)

    private(set) var stretches: UInt64 = 0
    private(set) var dataLength: UInt64 = 0
    private var hasHoles = false
    private var isAligned = true
    /// Of the lines, without that of the number.
    private var linesLength: UInt64 = 0
    private var offset: UInt64 = 0
    private var current: Stretch?

    /// Takes the extents of a file one after the other.
    ///
    /// - Returns: a stretch that ends before this extent.
    mutating func take(_ extent: Extent) -> Stretch? {
        let length = UInt64(extent.length)
        defer { offset += length }
        if case .hole = extent {
            hasHoles = true
            if current != nil { requireBlock() }
            return end()
        }
        if current == nil { requireBlock() }
        dataLength += length
        current = current.map { ($0.offset, $0.length + length) } ?? (offset, length)
        return nil
    }

    /// - Returns: the last stretch. A hole at the end of the file is told by an empty one behind it.
    mutating func finish() -> Stretch? {
        if current == nil { current = (offset, 0) }
        return end()
    }

    /// Whether the file is to be written so. Where holes don't begin and end at blocks (those of file systems do), GNU tar
    /// takes the data for padded and others don't.
    var isUsable: Bool { hasHoles && isAligned }

    private mutating func requireBlock() {
        if !offset.isMultiple(of: UInt64(TarArchive.block)) { isAligned = false }
    }

    private mutating func end() -> Stretch? {
        guard let stretch = current else { return nil }
        current = nil
        stretches += 1
        linesLength += UInt64(Self.lines(stretch).count)
        return stretch
    }

    var firstLine: [UInt8] { Array("\(stretches)\n".utf8) }

    static func lines(_ stretch: Stretch) -> [UInt8] {
        Array("\(stretch.offset)\n\(stretch.length)\n".utf8)
    }

    /// Bytes of all lines.
    var length: UInt64 { UInt64(firstLine.count) + linesLength }

    /// Bytes that the archive holds of the file: the map in whole blocks, and the data.
    var storedLength: UInt64 { length + UInt64(TarArchive.padding(after: length).count) + dataLength }
}
