import HawserFormat

/// Where the parts of an `IndexRun` lie.
struct IndexRunLayout {
    static let recordsPerPage = PageSeal.payloadLength / IndexRecord.byteCount
    /// One cache line a look-up.
    static let filterBlockLength = 64
    static let filterBlocksPerPage = PageSeal.payloadLength / filterBlockLength
    /// With 6 bits set for each record about 1 % of the look-ups for absent ids pass.
    static let filterBitsPerRecord = 10
    private static let magic = Array("hawser cache run".utf8)
    private static let version: UInt32 = 1

    let recordCount: Int
    let filterBlocks: Int
    let nonce: [UInt8]

    init(recordCount: Int, nonce: [UInt8]) {
        self.recordCount = recordCount
        filterBlocks = max(1, (recordCount * Self.filterBitsPerRecord + 511) / 512)
        self.nonce = nonce
    }

    init(header: UnsafeRawBufferPointer) throws {
        var reader = ByteReader(Array(header))
        let magic = try reader.read(count: Self.magic.count)
        let version: UInt32 = try reader.read()
        let records: UInt64 = try reader.read()
        let blocks: UInt64 = try reader.read()
        nonce = try Array(reader.read(count: 16))
        // 2^40 keeps every product below in range.
        guard Array(magic) == Self.magic, version == Self.version, records < 1 << 40, 1..<(1 << 40) ~= blocks else {
            throw HawserError(.damaged, "The cached index has a wrong header.")
        }
        recordCount = Int(records)
        filterBlocks = Int(blocks)
    }

    var headerBytes: [UInt8] {
        var bytes = Self.magic
        bytes.append(integer: Self.version)
        bytes.append(integer: UInt64(recordCount))
        bytes.append(integer: UInt64(filterBlocks))
        return bytes + nonce
    }

    /// Bytes of the file of a run.
    static func byteCount(recordCount: Int) -> Int {
        IndexRunLayout(recordCount: recordCount, nonce: []).pageCount * PageSeal.pageSize
    }

    var recordPages: Int { (recordCount + Self.recordsPerPage - 1) / Self.recordsPerPage }
    var filterPages: Int { (filterBlocks + Self.filterBlocksPerPage - 1) / Self.filterBlocksPerPage }
    var pageCount: Int { 1 + recordPages + filterPages }

    /// The filter block of `id`: its page and the offset there.
    func filterSlot(_ id: ChunkID) -> (page: Int, offset: Int) {
        let block = filterBlock(id)
        return (
            1 + recordPages + block / Self.filterBlocksPerPage,
            block % Self.filterBlocksPerPage * Self.filterBlockLength
        )
    }

    func filterBlock(_ id: ChunkID) -> Int {
        Int(id.second64.multipliedFullWidth(by: UInt64(filterBlocks)).high)
    }

    static func filterMask(_ id: ChunkID) -> FilterMask {
        FilterMask(seed: id.prefix64 ^ (id.second64 &* 0x9e37_79b9_7f4a_7c15))
    }
}

/// Six positions of 0..<512 in a filter block.
struct FilterMask {
    let seed: UInt64

    func allSet(in block: UnsafeRawPointer) -> Bool {
        for index in 0..<6 {
            let bit = Int(truncatingIfNeeded: seed >> UInt64(index * 9) & 511)
            if block.load(fromByteOffset: bit >> 3, as: UInt8.self) & (1 << UInt8(bit & 7)) == 0 { return false }
        }
        return true
    }

    func set(in block: UnsafeMutableRawPointer) {
        for index in 0..<6 {
            let bit = Int(truncatingIfNeeded: seed >> UInt64(index * 9) & 511)
            let byte = block.load(fromByteOffset: bit >> 3, as: UInt8.self) | (1 << UInt8(bit & 7))
            block.storeBytes(of: byte, toByteOffset: bit >> 3, as: UInt8.self)
        }
    }
}
