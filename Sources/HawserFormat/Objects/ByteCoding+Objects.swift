extension ByteReader {
    /// - Throws: `damaged` if anything is left.
    func expectNothingMore() throws {
        guard isAtEnd else { throw HawserError(.damaged, "There are bytes behind the end of a structure.") }
    }

    /// Seconds as 8 bytes, nanoseconds as 4.
    mutating func readFixedTimestamp() throws -> Timestamp {
        let time = try Timestamp(seconds: read(), nanoseconds: read())
        guard time.isValid else { throw HawserError(.damaged, "A time is out of range.") }
        return time
    }
}

extension [UInt8] {
    /// Seconds as 8 bytes, nanoseconds as 4.
    mutating func append(fixedTimestamp time: Timestamp) {
        append(integer: time.seconds)
        append(integer: time.nanoseconds)
    }
}
