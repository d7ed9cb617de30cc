public import HawserFormat

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension Timestamp {
    /// By the machine's clock.
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }

    /// As signatures have it, such as `20260131T235959Z`. Of a year outside 0 to 9999, which no clock shows, the epoch.
    var amazonText: String {
        let text = text ?? "1970-01-01T00:00:00"
        return text.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    /// What Amazon's XML has, such as `2026-01-31T23:59:59.000Z`: RFC 3339 in UTC with 0 to 9 decimals. `nil` for
    /// anything else.
    public init?(amazonText text: some StringProtocol) {
        guard text.hasSuffix("Z") else { return nil }
        let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = parts.first, parts.count <= 2, !text.dropLast().hasSuffix(".") else { return nil }
        let decimals = parts.count == 2 ? String(parts[1]) : ""
        guard decimals.utf8.count <= 9 else { return nil }
        self.init(text: whole + "." + decimals + String(repeating: "0", count: 9 - decimals.utf8.count) + "Z")
    }

    /// What `Date` and `Last-Modified` have, such as `Sat, 31 Jan 2026 23:59:59 GMT` (RFC 9110, 5.6.7, the only form
    /// that servers may send). `nil` for anything else.
    init?(httpText text: some StringProtocol) {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = Self.months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        let number = month + 1
        self.init(
            text: "\(parts[3])-\(number < 10 ? "0" : "")\(number)-\(parts[1])T\(parts[4]).000000000Z"
        )
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    func advanced(bySeconds offset: Int64) -> Timestamp {
        let (sum, overflow) = seconds.addingReportingOverflow(offset)
        return overflow ? self : Timestamp(seconds: sum, nanoseconds: nanoseconds)
    }
}
