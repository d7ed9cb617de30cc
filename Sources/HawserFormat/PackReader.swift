/// What a pack says about itself.
public struct PackFooter: Hashable, Sendable {
    /// 16 bytes that name the run which wrote the pack.
    public var writerID: [UInt8]
    /// In the order of their offsets, without gaps.
    public var records: [BlobRecord]
}

/// Reads the records of a pack from its first 16 bytes and its end, without the blobs.
public struct PackReader: Sendable {
    /// Ranges of data packs begin at multiples of this, so that requests don't show where blobs begin.
    public static let grid = 256 << 10

    public let kind: PackKind
    /// Of the whole pack, bytes.
    public let packLength: Int
    /// The bytes that stand in for the headers of footer and trailer.
    private let epoch: UInt8

    /// - Parameters:
    ///   - header: The first 16 bytes of the pack, or more.
    ///   - packLength: Of the stored object, bytes.
    /// - Throws: `damaged` if this can't be a pack of `kind`, `unsupported` if a newer program wrote it.
    public init(kind: PackKind, header: ArraySlice<UInt8>, packLength: Int) throws {
        guard PackLayout.grain...PackLayout.greatestLength ~= packLength,
            packLength == PackLayout.paddedLength(packLength)
        else { throw HawserError(.damaged, "A pack can't have a length of \(packLength) bytes.") }
        var reader = ByteReader(header.prefix(PackLayout.headerLength))
        epoch = try ObjectHeader(&reader, kind: kind.headerKind, suite: ObjectHeader.suite1).epoch
        self.kind = kind
        self.packLength = packLength
    }

    /// The range of a pack to fetch first: holds the trailer, and the footer too of nearly all packs.
    public static func firstTail(packLength: Int) -> Range<Int> {
        let length = max(0, packLength)
        // From the grid, and not less than half a step: a footer has up to 64 KiB of padding alone.
        return max(0, length - grid / 2) / grid * grid..<length
    }

    /// Where the footer lies.
    ///
    /// - Parameter tail: The last bytes of the pack, at least the trailer.
    public func footerRange(tail: ArraySlice<UInt8>, sealer: ObjectSealer) throws -> Range<Int> {
        let sealed = tail.suffix(PackLayout.trailerLength)
        var reader = try ByteReader(sealer.open(headerBytes(kind.trailerKind) + sealed, kind: kind.trailerKind))
        let offset = Int(try reader.read(UInt32.self))
        let length = Int(try reader.read(UInt32.self))
        guard reader.isAtEnd, offset >= PackLayout.headerLength, length >= PackLayout.footerLength(count: 0),
            offset + length == packLength - PackLayout.trailerLength
        else { throw HawserError(.damaged, "The trailer of a pack points outside the pack.") }
        return offset..<offset + length
    }

    /// The range to fetch so that it holds `footer`, from the grid to the end of the pack.
    public func tail(holding footer: Range<Int>) -> Range<Int> {
        footer.lowerBound / Self.grid * Self.grid..<packLength
    }

    /// Opens and checks the footer.
    ///
    /// - Parameters:
    ///   - range: From `footerRange`.
    ///   - tail: The last bytes of the pack, from the footer's beginning or before.
    public func footer(_ range: Range<Int>, tail: ArraySlice<UInt8>, sealer: ObjectSealer) throws -> PackFooter {
        let fromEnd = packLength - range.lowerBound
        guard tail.count >= fromEnd, range.count <= fromEnd else {
            throw HawserError(.invalidArgument, "The end of the pack that was fetched does not hold its footer.")
        }
        let sealed = tail.suffix(fromEnd).prefix(range.count)
        var reader = try ByteReader(sealer.open(headerBytes(kind.footerKind) + sealed, kind: kind.footerKind))
        let writerID = Array(try reader.read(count: PackLayout.writerIDLength))
        let count = Int(try reader.read(UInt32.self))
        guard reader.remaining == count * PackLayout.recordLength else {
            throw HawserError(.damaged, "A pack's footer does not hold as many records as it says.")
        }
        var records: [BlobRecord] = []
        records.reserveCapacity(count)
        var end = PackLayout.headerLength
        for _ in 0..<count {
            let record = try Self.record(&reader)
            guard PackKind(for: record.type) == kind, Int(record.offset) == end, record.epoch > 0,
                PackLayout.shortestBlob...PackLayout.longestBlob ~= Int(record.storedLength),
                record.plainLength <= UInt32(Compressor.plainLimit),
                Int(record.storedLength) <= range.lowerBound - end
            else { throw HawserError(.damaged, "A record of a pack's footer is impossible.", place: record.id.hex) }
            end += Int(record.storedLength)
            records.append(record)
        }
        guard end == range.lowerBound else {
            throw HawserError(.damaged, "A pack holds bytes that its footer does not name.")
        }
        return PackFooter(writerID: writerID, records: records)
    }

    /// The footer of a pack of which all bytes are there.
    public static func footer(of pack: [UInt8], kind: PackKind, sealer: ObjectSealer) throws -> PackFooter {
        let reader = try PackReader(kind: kind, header: pack[...], packLength: pack.count)
        return try reader.footer(reader.footerRange(tail: pack[...], sealer: sealer), tail: pack[...], sealer: sealer)
    }

    private static func record(_ reader: inout ByteReader) throws -> BlobRecord {
        let id: ChunkID = try reader.readIdentifier()
        guard let type = ChunkType(rawValue: try reader.read()) else {
            throw HawserError(.damaged, "A record of a pack's footer has an unknown type.", place: id.hex)
        }
        return try BlobRecord(
            id: id,
            type: type,
            epoch: reader.read(),
            offset: reader.read(),
            storedLength: reader.read(),
            plainLength: reader.read()
        )
    }

    private func headerBytes(_ kind: HeaderKind) -> [UInt8] {
        ObjectHeader(kind: kind, suite: ObjectHeader.suite1, epoch: epoch).bytes
    }
}
