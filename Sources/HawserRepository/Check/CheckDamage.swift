import HawserFormat

/// What a check has found damaged, in the form in which it can say what that hurts. Numbers are those of findings.
struct CheckDamage {
    struct Pack {
        var finding: Int
        /// The first bytes of the pack that are there.
        var available: Int
    }

    /// By pack number.
    var packs: [UInt32: Pack] = [:]
    var blobs: [ChunkID: Int] = [:]
    /// Packs that have one of `blobs`.
    var packsOfBlobs: Set<UInt32> = []
    var nodes: [TreeNode.Key: Int] = [:]
    /// One finding for all chunks that are not in the index.
    var missing: Int?

    var isEmpty: Bool { packs.isEmpty && blobs.isEmpty && nodes.isEmpty && missing == nil }

    /// Why a chunk can't be read, if so.
    ///
    /// - Parameter length: what its user says it is long, bytes.
    func finding(_ id: ChunkID, type: ChunkType, length: Int?, in index: ChunkIndex) -> Int? {
        guard let record = index.find(id), record.fits(type, length: length) else { return missing }
        if let pack = packs[record.packNumber],
            Int(record.blob.offset) + Int(record.blob.storedLength) > pack.available
        {
            return pack.finding
        }
        return blobs[id]
    }

    /// The same by the pack numbers of another index.
    func renumbered(from old: [PackReference], to new: [PackReference]) -> CheckDamage {
        let numbers = new.numbers
        var damage = self
        damage.packs = [:]
        for (number, pack) in packs {
            if let number = numbers[old[Int(number)].key] { damage.packs[number] = pack }
        }
        damage.packsOfBlobs = Set(packsOfBlobs.compactMap { numbers[old[Int($0)].key] })
        return damage
    }

    func mayHurt(_ pack: UInt32) -> Bool { packs[pack] != nil || packsOfBlobs.contains(pack) }
}

extension [PackReference] {
    /// The number by which the index that these are of calls each.
    var numbers: [ObjectKey: UInt32] {
        enumerated().reduce(into: Dictionary(minimumCapacity: count)) { $0[$1.element.key] = UInt32($1.offset) }
    }
}

extension IndexRecord {
    func fits(_ type: ChunkType, length: Int?) -> Bool {
        blob.type == type && length.map { $0 == Int(blob.plainLength) } ?? true
    }
}
