// Body: `records 4 | packs 4 | replaced segments 4 | (pack name 32, length 4)… | replaced name 32… | record 48…`.

extension IndexSegment {
    private static let countsLength = 12
    private static let packInfoLength = 36
    /// Nonce, tag and the byte that names the compression.
    private static let minimumStoredLength: UInt32 = 12 + 16 + 1

    public func encode(_ sealer: ObjectSealer) throws -> [UInt8] {
        let bodyLength =
            Self.countsLength + packs.count * Self.packInfoLength + replaces.count * ObjectName.byteCount
            + records.count * IndexRecord.byteCount
        var plaintext: [UInt8] = []
        plaintext.reserveCapacity(ObjectSealer.sealedLength(ofBody: bodyLength))
        plaintext += repeatElement(0, count: ObjectSealer.lengthFieldLength)
        appendBody(to: &plaintext)
        return try sealer.seal(plaintext: &plaintext, kind: kind.headerKind)
    }

    func appendBody(to bytes: inout [UInt8]) {
        bytes.append(integer: UInt32(records.count))
        bytes.append(integer: UInt32(packs.count))
        bytes.append(integer: UInt32(replaces.count))
        for pack in packs {
            bytes.append(identifier: pack.name)
            bytes.append(integer: pack.length)
        }
        for name in replaces { bytes.append(identifier: name) }
        records.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// - Throws: `damaged` unless it is exactly a segment of this kind in this repository.
    public init(decoding object: [UInt8], kind: Kind, sealer: ObjectSealer) throws {
        try self.init(body: sealer.open(object, kind: kind.headerKind), kind: kind)
    }

    init(body: [UInt8], kind: Kind) throws {
        var reader = ByteReader(body)
        let recordCount: UInt32 = try reader.read()
        let packCount: UInt32 = try reader.read()
        let replacesCount: UInt32 = try reader.read()
        let length =
            Self.packInfoLength * Int(packCount) + ObjectName.byteCount * Int(replacesCount)
            + IndexRecord.byteCount * Int(recordCount)
        guard recordCount <= Self.recordLimit, length == reader.remaining else {
            throw HawserError(.damaged, "The counts of an index segment do not fit its length.")
        }
        var packs: [PackInfo] = []
        packs.reserveCapacity(Int(packCount))
        for _ in 0..<packCount { try packs.append(PackInfo(name: reader.readIdentifier(), length: reader.read())) }
        var replaces: [ObjectName] = []
        replaces.reserveCapacity(Int(replacesCount))
        for _ in 0..<replacesCount { try replaces.append(reader.readIdentifier()) }
        try self.init(kind: kind, packs: packs, recordBytes: reader.readRest(), replaces: replaces)
    }

    /// The records' bytes in order, with pack numbers replaced by `places`.
    static func sortedBytes(_ records: [IndexRecord], places: [UInt32]) throws -> [UInt8] {
        // Sorting 16 bytes a record moves less than sorting the records; equal prefixes are rare.
        var order = records.enumerated().map { (prefix: $1.blob.id.prefix64, index: UInt32($0)) }
        try records.withUnsafeBufferPointer { records in
            for record in records where Int(record.packNumber) >= places.count {
                throw HawserError(.invalidArgument, "A record names a pack that is not in the table.")
            }
            for record in records where record.blob.plainLength >= IndexRecord.plainLengthLimit {
                throw HawserError(.invalidArgument, "A chunk is too long for the index.")
            }
            order.sort { left, right in
                if left.prefix != right.prefix { return left.prefix < right.prefix }
                let (leftRecord, rightRecord) = (records[Int(left.index)], records[Int(right.index)])
                return (leftRecord.blob.id, places[Int(leftRecord.packNumber)])
                    < (rightRecord.blob.id, places[Int(rightRecord.packNumber)])
            }
        }
        let byteCount = records.count * IndexRecord.byteCount
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
            if var target = UnsafeMutableRawPointer(buffer.baseAddress) {
                for (_, index) in order {
                    var record = records[Int(index)]
                    record.packNumber = places[Int(record.packNumber)]
                    record.write(to: target)
                    target += IndexRecord.byteCount
                }
            }
            initializedCount = byteCount
        }
    }

    static func validate(_ recordBytes: ArraySlice<UInt8>, kind: Kind, packs: [PackInfo]) throws {
        guard recordBytes.count.isMultiple(of: IndexRecord.byteCount),
            recordBytes.count / IndexRecord.byteCount <= recordLimit, packs.count <= IndexRecord.packNumberLimit
        else { throw HawserError(.damaged, "An index segment has a wrong number of records.") }
        let lengths = packs.map(\.length)
        let isValid = recordBytes.withUnsafeBytes { bytes in
            lengths.withUnsafeBufferPointer { areValid(bytes, kind: kind, packLengths: $0) }
        }
        guard isValid else { throw HawserError(.damaged, "A record of an index segment can't be right.") }
    }

    private static func areValid(
        _ bytes: UnsafeRawBufferPointer,
        kind: Kind,
        packLengths: UnsafeBufferPointer<UInt32>
    ) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var previous: (id: ChunkID, packNumber: UInt32)?
        for offset in stride(from: 0, to: bytes.count, by: IndexRecord.byteCount) {
            guard let record = IndexRecord(at: base + offset) else { return false }
            let blob = record.blob
            guard blob.type.isMetadata == (kind == .metadata), blob.epoch > 0,
                Int(record.packNumber) < packLengths.count, blob.storedLength >= minimumStoredLength,
                UInt64(blob.offset) + UInt64(blob.storedLength) <= UInt64(packLengths[Int(record.packNumber)])
            else { return false }
            if let previous {
                guard previous.id < blob.id || (previous.id == blob.id && previous.packNumber < record.packNumber)
                else { return false }
            }
            previous = (blob.id, record.packNumber)
        }
        return true
    }
}
