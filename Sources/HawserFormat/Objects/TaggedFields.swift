/// Fields of a structure that can grow: `(tag varint, length varint, value)…`, ascending by tag, each tag once.
///
/// There is one encoding of each set of fields, and fields of later versions are kept as they are.
struct TaggedFields: Hashable, Sendable {
    private struct Field: Hashable {
        var tag: UInt64
        var value: [UInt8]
    }

    private var fields: [Field] = []

    var isEmpty: Bool { fields.isEmpty }

    init() {}

    init(_ bytes: ArraySlice<UInt8>) throws {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let tag = try reader.readVarint()
            if let last = fields.last, last.tag >= tag {
                throw HawserError(.damaged, "The fields of a structure are not in order.")
            }
            try fields.append(Field(tag: tag, value: Array(reader.readBytes(limit: reader.remaining))))
        }
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for field in fields {
            bytes.append(varint: field.tag)
            bytes.append(counted: field.value)
        }
        return bytes
    }

    /// Removes a field, so that only unknown ones are left in the end.
    mutating func take(_ tag: UInt64) -> [UInt8]? {
        guard let index = fields.firstIndex(where: { $0.tag == tag }) else { return nil }
        return fields.remove(at: index).value
    }

    mutating func takeRequired(_ tag: UInt64) throws -> [UInt8] {
        guard let value = take(tag) else { throw HawserError(.damaged, "Field \(tag) of a structure is missing.") }
        return value
    }

    /// A field of exactly `count` bytes.
    mutating func takeRequired(_ tag: UInt64, count: Int) throws -> [UInt8] {
        let value = try takeRequired(tag)
        guard value.count == count else {
            throw HawserError(.damaged, "Field \(tag) of a structure has \(value.count) bytes instead of \(count).")
        }
        return value
    }

    /// Replaces a field of the same tag.
    mutating func set(_ tag: UInt64, _ value: [UInt8]) {
        let index = fields.firstIndex { $0.tag >= tag } ?? fields.endIndex
        if index < fields.endIndex, fields[index].tag == tag {
            fields[index].value = value
        } else {
            fields.insert(Field(tag: tag, value: value), at: index)
        }
    }
}
