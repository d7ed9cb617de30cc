/// A pack as clear objects name it: enough to find it, to count it and to delete it, and no more.
public struct PackReference: Hashable, Sendable {
    public var name: ObjectName
    /// As stored, padding included; bytes.
    public var length: UInt32
    /// Whether it lies below `packs/m/` instead of `packs/d/`.
    public var isMetadata: Bool

    public init(name: ObjectName, length: UInt32, isMetadata: Bool) {
        self.name = name
        self.length = length
        self.isMetadata = isMetadata
    }

    public var key: ObjectKey { .named(isMetadata ? .metadataPack : .dataPack, name) }
}

extension PackReference {
    /// `name 32 | length 4 | 0 for data, 1 for metadata`.
    fileprivate static let byteCount = 37
}

extension [PackReference] {
    /// Ascending by name, no name twice.
    var isCanonical: Bool {
        zip(self, dropFirst()).allSatisfy { $0.name < $1.name }
    }
}

extension [UInt8] {
    /// The number of packs as 4 bytes, then the packs.
    ///
    /// - Throws: `invalidArgument` if they are too many, not in order, or one is there twice.
    mutating func append(packs: [PackReference]) throws {
        guard let count = UInt32(exactly: packs.count), packs.isCanonical else {
            throw HawserError(.invalidArgument, "A list of packs is not in order.")
        }
        append(integer: count)
        reserveCapacity(self.count + packs.count * PackReference.byteCount)
        for pack in packs {
            append(identifier: pack.name)
            append(integer: pack.length)
            append(pack.isMetadata ? 1 : 0)
        }
    }

    /// The number of names as 4 bytes, then the names.
    mutating func append(names: [ObjectName]) throws {
        guard let count = UInt32(exactly: names.count), zip(names, names.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw HawserError(.invalidArgument, "A list of names is not in order.")
        }
        append(integer: count)
        for name in names { append(identifier: name) }
    }
}

extension ByteReader {
    mutating func readPacks() throws -> [PackReference] {
        let count = try readCount(elementLength: PackReference.byteCount)
        var packs: [PackReference] = []
        packs.reserveCapacity(count)
        for _ in 0..<count {
            let pack = try PackReference(name: readIdentifier(), length: read(), isMetadata: readFlag())
            if let last = packs.last, last.name >= pack.name {
                throw HawserError(.damaged, "A list of packs is not in order.")
            }
            packs.append(pack)
        }
        return packs
    }

    mutating func readNames() throws -> [ObjectName] {
        let count = try readCount(elementLength: ObjectName.byteCount)
        var names: [ObjectName] = []
        names.reserveCapacity(count)
        for _ in 0..<count {
            let name: ObjectName = try readIdentifier()
            if let last = names.last, last >= name { throw HawserError(.damaged, "A list of names is not in order.") }
            names.append(name)
        }
        return names
    }

    /// A 4-byte count of elements that the rest is long enough for.
    private mutating func readCount(elementLength: Int) throws -> Int {
        let count: UInt32 = try read()
        guard Int(count) <= remaining / elementLength else {
            throw HawserError(.damaged, "A list is longer than what holds it.")
        }
        return Int(count)
    }

    mutating func readFlag() throws -> Bool {
        let flag: UInt8 = try read()
        guard flag <= 1 else { throw HawserError(.damaged, "A flag is neither 0 nor 1.") }
        return flag == 1
    }
}
