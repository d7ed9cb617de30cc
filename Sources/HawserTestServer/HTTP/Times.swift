import HawserFormat

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension Timestamp {
    /// What the system's clock says.
    static var system: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(clamping: time.tv_nsec))
    }

    /// Of the basic form of signatures, `20261125T223900Z`.
    init?(basic text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z") else { return nil }
        func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        self.init(
            text: "\(part(0..<4))-\(part(4..<6))-\(part(6..<8))T\(part(9..<11)):\(part(11..<13)):\(part(13..<15))"
                + ".000000000Z"
        )
    }

    /// Of a header or document, `2026-11-25T22:39:00Z`, with or without decimals.
    init?(extended text: String) {
        guard text.hasSuffix("Z") else { return nil }
        let parts = text.dropLast().split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let decimals = parts.count > 1 ? String(parts[1]) : ""
        guard decimals.utf8.count <= 9 else { return nil }
        self.init(text: parts[0] + "." + decimals + String(repeating: "0", count: 9 - decimals.utf8.count) + "Z")
    }

    /// `2026-11-25T22:39:00.000Z`, as lists have it.
    var extended: String { String((text ?? "0000-00-00T00:00:00").prefix(19)) + ".000Z" }

    /// `20261125T223900Z`
    var basic: String {
        String((text ?? "0000-00-00T00:00:00").prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
    }

    /// RFC 9110, 5.6.7: `Wed, 25 Nov 2026 22:39:00 GMT`.
    var http: String {
        let parts = (text ?? "0000-01-01T00:00:00").prefix(19).split { "-T".contains($0) }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        // The first day of 1970 was a Thursday.
        let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let day = Int((seconds / 86_400 - (seconds % 86_400 < 0 ? 1 : 0)) % 7)
        let month = months[(Int(parts[1]) ?? 1) - 1]
        return "\(days[(day + 7) % 7]), \(parts[2]) \(month) \(parts[0]) \(parts[3]) GMT"
    }

    func advanced(by duration: Duration) -> Timestamp {
        let (whole, attoseconds) = duration.components
        var sum = Timestamp(seconds: seconds + whole, nanoseconds: nanoseconds)
        let nanos = Int64(nanoseconds) + attoseconds / 1_000_000_000
        sum.seconds += nanos >= 1_000_000_000 ? 1 : nanos < 0 ? -1 : 0
        sum.nanoseconds = UInt32((nanos + 1_000_000_000) % 1_000_000_000)
        return sum
    }
}
