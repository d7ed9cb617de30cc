/// Reads the integers and byte strings of the format (little-endian) from bytes that may be anything.
///
/// Every read past the end throws `damaged`; lengths are checked before anything is allocated.
public struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    public init(_ bytes: [UInt8]) {
        self.init(bytes[...])
    }

    public var remaining: Int { bytes.endIndex - position }
    public var isAtEnd: Bool { remaining == 0 }

    public mutating func read(count: Int) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw HawserError(.damaged, "The structure ends too early.")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    public mutating func readRest() -> ArraySlice<UInt8> {
        defer { position = bytes.endIndex }
        return bytes[position...]
    }

    public mutating func read<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws -> Value {
        let size = MemoryLayout<Value>.size
        return try Value(
            littleEndian: read(count: size).withUnsafeBytes { $0.loadUnaligned(as: Value.self) }
        )
    }

    /// Unsigned LEB128, at most 10 bytes, shortest form only.
    public mutating func readVarint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 70, by: 7) {
            let byte: UInt8 = try read()
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || bits <= 1 else { break }
            value |= bits << UInt64(shift)
            if byte < 0x80 {
                guard byte != 0 || shift == 0 else { break }
                return value
            }
        }
        throw HawserError(.damaged, "A number is not in its shortest form.")
    }

    /// A count or length that is a varint and at most `limit`.
    public mutating func readLength(limit: Int) throws -> Int {
        let value = try readVarint()
        guard value <= UInt64(limit) else { throw HawserError(.damaged, "A length is out of range.") }
        return Int(value)
    }

    public mutating func readBytes(limit: Int) throws -> ArraySlice<UInt8> {
        try read(count: readLength(limit: limit))
    }

    public mutating func readIdentifier<Tag>() throws -> Identifier<Tag> {
        try read(count: 32).withUnsafeBytes { Identifier($0) }
    }
}

extension [UInt8] {
    public mutating func append<Value: FixedWidthInteger>(integer: Value) {
        Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
    }

    public mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// The length as a varint, then the bytes.
    public mutating func append(counted bytes: some Collection<UInt8>) {
        append(varint: UInt64(bytes.count))
        append(contentsOf: bytes)
    }

    public mutating func append<Tag>(identifier: Identifier<Tag>) {
        identifier.withUnsafeBytes { append(contentsOf: $0) }
    }
}
