import Glibc
import Hawser

/// Times as people read and write them: in the machine's time zone.
enum TimeText {
    /// `2026-01-31 23:59:59`.
    static func local(_ time: Timestamp) -> String {
        var seconds = time_t(time.seconds)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return "?" }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard let text = buffer.baseAddress, strftime(text, buffer.count, "%Y-%m-%d %H:%M:%S", &parts) > 0 else {
                return "?"
            }
            return String(cString: text)
        }
    }

    /// By how much the machine's time zone is ahead of UTC then.
    static func secondsAheadOfUTC(_ time: Timestamp) -> Int64 {
        var seconds = time_t(time.seconds)
        var parts = tm()
        return localtime_r(&seconds, &parts) == nil ? 0 : Int64(parts.tm_gmtoff)
    }

    /// `now`, `2026-01-31`, `2026-01-31 23:59` or `2026-01-31 23:59:59` in local time, or with `Z` or `+01:00` behind it in that zone.
    static func parse(_ text: String) -> Timestamp? {
        if text == "now" { return .now }
        if let exact = Timestamp(text: text) { return exact }
        var scanner = DigitScanner(text)
        var parts = tm()
        guard let year = scanner.number(4), scanner.skip("-"), let month = scanner.number(2), scanner.skip("-"),
            let day = scanner.number(2)
        else { return nil }
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, month - 1, day)
        if scanner.skip("T") || scanner.skip(" ") {
            guard let hour = scanner.number(2), scanner.skip(":"), let minute = scanner.number(2) else { return nil }
            (parts.tm_hour, parts.tm_min) = (hour, minute)
            if scanner.skip(":") {
                guard let second = scanner.number(2) else { return nil }
                parts.tm_sec = second
            }
        }
        let wanted = parts
        var seconds: time_t
        if let offset = scanner.zone() {
            seconds = timegm(&parts) - time_t(offset)
        } else {
            parts.tm_isdst = -1
            seconds = mktime(&parts)
        }
        // What is no date, such as the 31st of April, has become another one.
        guard scanner.isAtEnd, parts.tm_mday == wanted.tm_mday, parts.tm_mon == wanted.tm_mon else { return nil }
        return Timestamp(seconds: Int64(seconds))
    }
}

private struct DigitScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        rest = text[...].utf8
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number(_ digits: Int) -> Int32? {
        let field = rest.prefix(digits)
        guard field.count == digits, field.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) else {
            return nil
        }
        rest = rest.dropFirst(digits)
        return field.reduce(0) { $0 * 10 + Int32($1 - UInt8(ascii: "0")) }
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Seconds east of UTC; `nil` when no zone is given.
    mutating func zone() -> Int? {
        if skip("Z") { return 0 }
        let sign = skip("+") ? 1 : skip("-") ? -1 : 0
        guard sign != 0, let hours = number(2), skip(":"), let minutes = number(2) else { return nil }
        return sign * (Int(hours) * 3600 + Int(minutes) * 60)
    }
}
