import HawserFormat
import HawserStorage
import HawserTransfer

/// All packs in the storage at one time, each with a place by which everything else is kept in bits and arrays: 40 bytes
/// a pack and no dictionary.
struct PackTable: Sendable {
    /// Data packs first, each kind ascending by name.
    private(set) var packs: [PackReference] = []
    private(set) var stored: [Int64?] = []
    private var dataCount = 0

    init() {}

    static func list(_ target: any DataMoverTarget) async throws -> PackTable {
        var table = PackTable()
        for kind in [ObjectKind.dataPack, .metadataPack] {
            for try await info in target.list(kind) {
                // One that is too long for the format can't be named, used or deleted; `check` finds it.
                guard let pack = PackReference(info.key, length: info.length) else { continue }
                table.packs.append(pack)
                table.stored.append(info.stored?.seconds)
            }
            if kind == .dataPack { table.dataCount = table.packs.count }
        }
        return table
    }

    var count: Int { packs.count }

    func place(of name: ObjectName, isMetadata: Bool) -> Int? {
        var range = isMetadata ? dataCount..<packs.count : 0..<dataCount
        let end = range.upperBound
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = packs[middle].name < name ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        guard range.lowerBound < end, packs[range.lowerBound].name == name else { return nil }
        return range.lowerBound
    }

    func place(of pack: PackReference) -> Int? { place(of: pack.name, isMetadata: pack.isMetadata) }

    /// With the length that it has in the storage, whatever the index says: so that no list names it twice.
    func asStored(_ pack: PackReference) -> PackReference { place(of: pack).map { packs[$0] } ?? pack }
}

/// A set of places.
struct PackBits: Sendable, Hashable {
    private var words: [UInt64]

    init(count: Int) {
        words = Array(repeating: 0, count: (count + 63) / 64)
    }

    subscript(place: Int) -> Bool {
        get { words[place >> 6] & (1 << UInt64(place & 63)) != 0 }
        set {
            if newValue {
                words[place >> 6] |= 1 << UInt64(place & 63)
            } else {
                words[place >> 6] &= ~(1 << UInt64(place & 63))
            }
        }
    }

    mutating func formUnion(_ other: PackBits) {
        for index in words.indices { words[index] |= other.words[index] }
    }

    func isDisjoint(with other: PackBits) -> Bool {
        zip(words, other.words).allSatisfy { $0 & $1 == 0 }
    }

    func isSubset(of other: PackBits) -> Bool {
        zip(words, other.words).allSatisfy { $0 & ~$1 == 0 }
    }

    var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// Ascending.
    var places: [Int] {
        words.indices.flatMap { index in
            var word = words[index]
            var found: [Int] = []
            while word != 0 {
                found.append(index << 6 + word.trailingZeroBitCount)
                word &= word - 1
            }
            return found
        }
    }
}
