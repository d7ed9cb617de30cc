/// The extended attributes of one entry when they are above `Entry.attributeLimit`: a blob of type `attribute`.
public enum AttributeBlob {
    /// Half of what a blob's plain length allows; Linux file systems stay below 64 KiB a value.
    public static let limit = 8 << 20
    private static let version: UInt8 = 1

    /// - Throws: `invalidArgument` if there are none, a name is empty, double or holds a NUL, or the blob would exceed `limit`.
    public static func encode(_ attributes: [ExtendedAttribute]) throws -> [UInt8] {
        let sorted = attributes.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        guard !sorted.isEmpty, sorted.areCanonical else {
            throw HawserError(.invalidArgument, "A name of an extended attribute is not valid.")
        }
        var bytes = [version]
        bytes.append(attributes: sorted)
        guard bytes.count <= limit else {
            throw HawserError(.invalidArgument, "The extended attributes are larger than 8 MiB.")
        }
        return bytes
    }

    /// - Throws: `damaged`, or `unsupported` for a later version.
    public static func decode(_ bytes: [UInt8]) throws -> [ExtendedAttribute] {
        guard bytes.count <= limit else { throw HawserError(.damaged, "An attribute blob is too long.") }
        var reader = ByteReader(bytes)
        try reader.expect(version: version, of: "attribute blob")
        let attributes = try reader.readAttributes(limit: limit)
        guard reader.isAtEnd, attributes.areCanonical else {
            throw HawserError(.damaged, "The extended attributes are not in order.")
        }
        return attributes
    }
}

extension [ExtendedAttribute] {
    /// Names are not empty, hold no NUL and ascend.
    var areCanonical: Bool {
        for index in indices {
            if self[index].name.isEmpty || self[index].name.contains(0) { return false }
            if index > 0, !self[index - 1].name.lexicographicallyPrecedes(self[index].name) { return false }
        }
        return true
    }
}

extension [UInt8] {
    /// Their number, then name and value of each.
    mutating func append(attributes: [ExtendedAttribute]) {
        append(varint: UInt64(attributes.count))
        for attribute in attributes {
            append(counted: attribute.name)
            append(counted: attribute.value)
        }
    }
}

extension ByteReader {
    mutating func readAttributes(limit: Int) throws -> [ExtendedAttribute] {
        let count = try readLength(limit: remaining)
        guard count > 0 else { throw HawserError(.damaged, "A list of extended attributes is empty.") }
        var attributes: [ExtendedAttribute] = []
        for _ in 0..<count {
            let name = try readBytes(limit: limit)
            attributes.append(ExtendedAttribute(name: Array(name), value: Array(try readBytes(limit: limit))))
        }
        return attributes
    }

    /// - Throws: `unsupported` for a higher version, `damaged` for a lower one.
    mutating func expect(version: UInt8, of what: StaticString) throws {
        let found: UInt8 = try read()
        if found > version {
            throw HawserError(.unsupported, "This \(what) needs a newer version of Hawser.")
        }
        guard found == version else { throw HawserError(.damaged, "The version of this \(what) is not valid.") }
    }
}
