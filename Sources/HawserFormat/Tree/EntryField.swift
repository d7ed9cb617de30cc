/// The tagged fields of an entry. Tags ascend in an entry, so a new field gets the next number.
enum EntryField {
    static let created: UInt64 = 1
    static let linkTarget: UInt64 = 2
    static let device: UInt64 = 3
    static let inodeFlags: UInt64 = 4
    static let attributes: UInt64 = 5
    static let attributeBlob: UInt64 = 6
    static let linkGroup: UInt64 = 7
    static let inline: UInt64 = 8
    static let extents: UInt64 = 9
    static let list: UInt64 = 10
    static let changedWhileRead: UInt64 = 11
    /// Higher tags belong to later versions.
    static let last = changedWhileRead
}

/// Writes the tagged fields of an entry after their number; `scratch` is reused for the values.
struct EntryFieldWriter {
    private var scratch: [UInt8] = []

    mutating func append(fieldsOf entry: Entry, to output: inout [UInt8]) {
        output.append(varint: UInt64(Self.count(of: entry)))
        if let created = entry.created {
            append(EntryField.created, to: &output) { $0.append(timestamp: created) }
        }
        if let target = entry.linkTarget {
            append(EntryField.linkTarget, value: target, to: &output)
        }
        if let device = entry.device {
            append(EntryField.device, to: &output) {
                $0.append(varint: UInt64(device.major))
                $0.append(varint: UInt64(device.minor))
            }
        }
        if let flags = entry.inodeFlags {
            append(EntryField.inodeFlags, to: &output) { $0.append(varint: UInt64(flags)) }
        }
        if !entry.attributes.isEmpty {
            append(EntryField.attributes, to: &output) { $0.append(attributes: entry.attributes) }
        }
        if let blob = entry.attributeBlob {
            append(EntryField.attributeBlob, to: &output) { $0.append(identifier: blob) }
        }
        if let group = entry.linkGroup {
            append(EntryField.linkGroup, to: &output) { $0.append(varint: group) }
        }
        if entry.size > 0, let content = entry.content {
            append(content, to: &output)
        }
        if entry.changedWhileRead {
            append(EntryField.changedWhileRead, value: [], to: &output)
        }
        for field in entry.unknownFields {
            append(field.tag, value: field.value, to: &output)
        }
    }

    private static func count(of entry: Entry) -> Int {
        var count = entry.unknownFields.count
        if entry.created != nil { count += 1 }
        if entry.linkTarget != nil { count += 1 }
        if entry.device != nil { count += 1 }
        if entry.inodeFlags != nil { count += 1 }
        if !entry.attributes.isEmpty { count += 1 }
        if entry.attributeBlob != nil { count += 1 }
        if entry.linkGroup != nil { count += 1 }
        if entry.size > 0, entry.content != nil { count += 1 }
        if entry.changedWhileRead { count += 1 }
        return count
    }

    private mutating func append(_ content: Content, to output: inout [UInt8]) {
        switch content {
        case .inline(let bytes):
            append(EntryField.inline, value: bytes, to: &output)
        case .extents(let extents):
            append(EntryField.extents, to: &output) { value in
                for extent in extents { value.append(extent: extent) }
            }
        case .list(let id, let height):
            append(EntryField.list, to: &output) {
                $0.append(identifier: id)
                $0.append(UInt8(height))
            }
        }
    }

    private func append(_ tag: UInt64, value: [UInt8], to output: inout [UInt8]) {
        output.append(varint: tag)
        output.append(counted: value)
    }

    private mutating func append(_ tag: UInt64, to output: inout [UInt8], _ write: (inout [UInt8]) -> Void) {
        scratch.removeAll(keepingCapacity: true)
        write(&scratch)
        output.append(varint: tag)
        output.append(counted: scratch)
    }
}

extension Entry {
    /// Reads the tagged fields after the fixed core. The rules that span several fields are in `brokenRule`.
    mutating func readFields(from reader: inout ByteReader) throws {
        var previous: UInt64 = 0
        for _ in 0..<(try reader.readLength(limit: reader.remaining)) {
            let tag = try reader.readVarint()
            guard tag > previous else { throw HawserError(.damaged, "An entry's fields are not in order.") }
            previous = tag
            var value = ByteReader(try reader.readBytes(limit: reader.remaining))
            try read(tag: tag, from: &value)
            guard value.isAtEnd else { throw HawserError(.damaged, "An entry's field is too long.") }
        }
        if kind == .file, size == 0, content == nil { content = .inline([]) }
    }

    private mutating func read(tag: UInt64, from value: inout ByteReader) throws {
        switch tag {
        case EntryField.created: created = try value.readTimestamp()
        case EntryField.linkTarget: linkTarget = Array(value.readRest())
        case EntryField.device: device = Device(major: try value.readUInt32(), minor: try value.readUInt32())
        case EntryField.inodeFlags: inodeFlags = try value.readUInt32()
        case EntryField.attributes: attributes = try value.readAttributes(limit: Self.attributeLimit)
        case EntryField.attributeBlob: attributeBlob = try value.readIdentifier()
        case EntryField.linkGroup: linkGroup = try value.readVarint()
        case EntryField.inline: try setContent(.inline(Array(value.readRest())))
        case EntryField.extents:
            var extents: [Extent] = []
            while !value.isAtEnd {
                extents.append(try value.readExtent())
                guard extents.count <= Self.extentLimit else {
                    throw HawserError(.damaged, "An entry has too many extents.")
                }
            }
            try setContent(.extents(extents))
        case EntryField.list:
            try setContent(.list(try value.readIdentifier(), height: Int(try value.read(UInt8.self))))
        case EntryField.changedWhileRead: changedWhileRead = true
        default: unknownFields.append(UnknownField(tag: tag, value: Array(value.readRest())))
        }
    }

    private mutating func setContent(_ new: Content) throws {
        guard content == nil, size > 0 else { throw HawserError(.damaged, "An entry's content is not canonical.") }
        content = new
    }
}

extension [UInt8] {
    /// Seconds as a zigzag varint, nanoseconds as 4 bytes.
    mutating func append(timestamp: Timestamp) {
        append(varint: UInt64(bitPattern: timestamp.seconds << 1 ^ timestamp.seconds >> 63))
        append(integer: timestamp.nanoseconds)
    }
}

extension ByteReader {
    mutating func readTimestamp() throws -> Timestamp {
        let zigzag = try readVarint()
        let seconds = Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
        return Timestamp(seconds: seconds, nanoseconds: try read())
    }

    mutating func readUInt32() throws -> UInt32 {
        UInt32(try readLength(limit: Int(UInt32.max)))
    }
}
