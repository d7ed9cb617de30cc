import HawserFormat

/// A length of time by the calendar, spelled as with restic: `2y5m7d3h`.
public struct RetentionPeriod: Sendable, Hashable, CustomStringConvertible {
    public var years: Int64 = 0
    public var months: Int64 = 0
    public var days: Int64 = 0
    public var hours: Int64 = 0

    /// A thousand years are enough, and no sum overflows.
    private static let limit: Int64 = 9_000_000

    /// - Returns: `nil` unless it is one or more numbers with `y`, `m`, `d` or `h` behind each, none twice, not zero in
    ///   all.
    public init?(_ text: String) {
        var digits = ""
        var seen = ""
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
                continue
            }
            guard let number = Int64(digits), number <= Self.limit, !seen.contains(character) else { return nil }
            switch character {
            case "y": years = number
            case "m": months = number
            case "d": days = number
            case "h": hours = number
            default: return nil
            }
            seen.append(character)
            digits = ""
        }
        guard digits.isEmpty, years + months + days + hours > 0 else { return nil }
    }

    public var description: String {
        [(years, "y"), (months, "m"), (days, "d"), (hours, "h")].map { $0.0 > 0 ? "\($0.0)\($0.1)" : "" }.joined()
    }

    /// The time that is so long before `time`. A day that a month does not have counts on into the next one, as in
    /// restic: a month before 31 May is 1 May.
    func before(_ time: Timestamp, zone: (Timestamp) -> Int64) -> Timestamp {
        let local = CalendarTime(time, zone: zone)
        let month = (local.year - years) * 12 + local.month - 1 - months
        let year = month >= 0 ? month / 12 : (month - 11) / 12
        let day = Timestamp.daysSince1970(year: year, month: month - year * 12 + 1, day: local.day) - days
        let seconds = day * Timestamp.secondsPerDay + local.second - hours * 3600
        let guess = Timestamp(seconds: seconds - zone(time))
        return Timestamp(seconds: seconds - zone(guess), nanoseconds: time.nanoseconds)
    }
}

/// A time as a local calendar has it.
struct CalendarTime {
    let year: Int64
    let month: Int64
    let day: Int64
    /// Of the day.
    let second: Int64
    private let days: Int64

    init(_ time: Timestamp, zone: (Timestamp) -> Int64) {
        let local = time.seconds + zone(time)
        second = (local % Timestamp.secondsPerDay + Timestamp.secondsPerDay) % Timestamp.secondsPerDay
        days = (local - second) / Timestamp.secondsPerDay
        (year, month, day) = Timestamp.date(daysSince1970: days)
    }

    /// Equal for times of the same interval.
    func number(of interval: RetentionPolicy.Interval) -> Int64 {
        switch interval {
        case .hourly: return days * 24 + second / 3600
        case .daily: return days
        case .weekly: return monday / 7
        case .monthly: return year * 12 + month
        case .yearly: return year
        }
    }

    /// Weeks begin on Monday (ISO 8601). The first Monday of the count was 5 January 1970.
    private var monday: Int64 {
        let weekday = ((days - 4) % 7 + 7) % 7
        return days - weekday - 4
    }
}
