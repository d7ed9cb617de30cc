/// An extent is a byte that says what it is, its length as a varint, and the chunk id of data.
private enum ExtentCode {
    static let data: UInt8 = 1
    static let zero: UInt8 = 2
    static let hole: UInt8 = 3
}

extension [UInt8] {
    mutating func append(extent: Extent) {
        switch extent {
        case .data(let id, let length):
            append(ExtentCode.data)
            append(varint: UInt64(length))
            append(identifier: id)
        case .zero(let length):
            append(ExtentCode.zero)
            append(varint: UInt64(length))
        case .hole(let length):
            append(ExtentCode.hole)
            append(varint: UInt64(length))
        }
    }
}

extension ByteReader {
    mutating func readExtent() throws -> Extent {
        let code: UInt8 = try read()
        let length = try readLength(limit: .max)
        let extent: Extent
        switch code {
        case ExtentCode.data: extent = .data(try readIdentifier(), length: length)
        case ExtentCode.zero: extent = .zero(length: length)
        case ExtentCode.hole: extent = .hole(length: length)
        default: throw HawserError(.damaged, "An extent is of an unknown kind.")
        }
        guard extent.isValid else { throw HawserError(.damaged, "The length of an extent is out of range.") }
        return extent
    }
}
