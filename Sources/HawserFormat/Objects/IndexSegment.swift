/// Some of the index: where the blobs of some packs lie.
///
/// The records stay bytes, sorted by id and then by pack; nothing is built of half a million values unless asked for.
/// A chunk that was stored twice has a record for each pack.
public struct IndexSegment: Sendable, Equatable {
    /// What packs it covers; never both, so that a backup's look-ups and a listing's read different objects.
    public enum Kind: Sendable, CaseIterable {
        case data, metadata

        public var objectKind: ObjectKind { self == .data ? .dataIndex : .metadataIndex }
        var headerKind: HeaderKind { self == .data ? .dataIndex : .metadataIndex }
    }

    public struct PackInfo: Hashable, Sendable {
        public var name: ObjectName
        /// The whole pack as stored, bytes.
        public var length: UInt32

        public init(name: ObjectName, length: UInt32) {
            self.name = name
            self.length = length
        }
    }

    /// 24 MiB of records: what a writer and a reader can hold whole.
    public static let recordLimit = 512 << 10
    /// A merge replaces far fewer.
    public static let replacesLimit = 64 << 10

    public let kind: Kind
    /// Ascending by name; records name packs by their place here.
    public let packs: [PackInfo]
    /// Segments whose content this one has, ascending: readers ignore them.
    public let replaces: [ObjectName]
    public let records: Records

    /// The records of a segment, decoded one by one as they are asked for.
    public struct Records: RandomAccessCollection, Sendable, Equatable {
        /// Validated: whole records of known types.
        fileprivate let bytes: ArraySlice<UInt8>

        public var startIndex: Int { 0 }
        public var endIndex: Int { bytes.count / IndexRecord.byteCount }

        public subscript(index: Int) -> IndexRecord {
            precondition(indices.contains(index))
            return bytes.withUnsafeBytes { bytes in
                guard let record = bytes.baseAddress.flatMap({ IndexRecord(at: $0 + index * IndexRecord.byteCount) })
                else { preconditionFailure("The types of records are checked when a segment is made.") }
                return record
            }
        }

        /// The sorted records of 48 bytes.
        public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
            try bytes.withUnsafeBytes(body)
        }
    }

    /// Sorts packs and records.
    ///
    /// - Parameters:
    ///   - packs: In any order; `records` name them by their place in it.
    ///   - records: In any order.
    /// - Throws: `invalidArgument` if there are too many, a pack is there twice, a blob does not lie in its pack, has a
    ///   type that does not belong to `kind`, or is in one pack twice.
    public init(kind: Kind, packs: [PackInfo], records: [IndexRecord], replaces: [ObjectName] = []) throws {
        guard records.count <= Self.recordLimit else {
            throw HawserError(.invalidArgument, "An index segment has at most \(Self.recordLimit) records.")
        }
        let order = packs.indices.sorted { packs[$0].name < packs[$1].name }
        var places = [UInt32](repeating: 0, count: packs.count)
        for (place, index) in order.enumerated() { places[index] = UInt32(place) }
        let bytes = try Self.sortedBytes(records, places: places)
        do {
            try self.init(
                kind: kind,
                packs: order.map { packs[$0] },
                recordBytes: bytes[...],
                replaces: replaces.sorted()
            )
        } catch let error as HawserError {
            throw HawserError(.invalidArgument, error.message)
        }
    }

    /// - Parameters:
    ///   - packs: Ascending by name.
    ///   - recordBytes: Whole records, ascending by id and pack number.
    ///   - replaces: Ascending.
    /// - Throws: `damaged` if anything is not so, or a record can't be right.
    public init(kind: Kind, packs: [PackInfo], recordBytes: ArraySlice<UInt8>, replaces: [ObjectName] = []) throws {
        let isPackTableSorted = zip(packs, packs.dropFirst()).allSatisfy { $0.name < $1.name }
        let isReplacesSorted = zip(replaces, replaces.dropFirst()).allSatisfy { $0 < $1 }
        guard isPackTableSorted, isReplacesSorted, replaces.count <= Self.replacesLimit else {
            throw HawserError(.damaged, "The tables of an index segment are not in order.")
        }
        try Self.validate(recordBytes, kind: kind, packs: packs)
        self.kind = kind
        self.packs = packs
        self.replaces = replaces
        records = Records(bytes: recordBytes)
    }

    /// The first record of a chunk, found by bisection; others of the same chunk follow it.
    public func firstIndex(of id: ChunkID) -> Int? {
        records.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var low = 0
            var high = records.count
            while low < high {
                let middle = (low + high) / 2
                if IndexRecord.id(at: base + middle * IndexRecord.byteCount) < id {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low < records.count, IndexRecord.id(at: base + low * IndexRecord.byteCount) == id else { return nil }
            return low
        }
    }
}
