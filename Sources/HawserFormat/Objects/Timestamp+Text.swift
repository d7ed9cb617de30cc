extension Timestamp {
    public static let secondsPerDay: Int64 = 86_400

    /// RFC 3339 in UTC with nine decimals, such as `2026-01-31T23:59:59.123456789Z`; `nil` outside the years 0 to 9999.
    public var text: String? {
        let (days, second) = seconds.quotientAndRemainderFloored(dividingBy: Self.secondsPerDay)
        let (year, month, day) = Self.date(daysSince1970: days)
        guard isValid, (0...9999).contains(year) else { return nil }
        return Self.digits(year, 4) + "-" + Self.digits(month, 2) + "-" + Self.digits(day, 2) + "T"
            + Self.digits(second / 3600, 2) + ":" + Self.digits(second / 60 % 60, 2) + ":"
            + Self.digits(second % 60, 2) + "." + Self.digits(Int64(nanoseconds), 9) + "Z"
    }

    /// `nil` unless `text` has exactly the form that `text` gives, and is a date of the calendar.
    public init?(text: String) {
        let bytes = Array(text.utf8)
        // Shape first: where digits must be, any digit stands for `0`.
        let shape = bytes.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) ? UInt8(ascii: "0") : $0 }
        guard shape.elementsEqual("0000-00-00T00:00:00.000000000Z".utf8) else { return nil }
        func number(_ range: Range<Int>) -> Int64 {
            bytes[range].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        }
        let days = Self.daysSince1970(year: number(0..<4), month: number(5..<7), day: number(8..<10))
        let second = number(11..<13) * 3600 + number(14..<16) * 60 + number(17..<19)
        self.init(seconds: days * Self.secondsPerDay + second, nanoseconds: UInt32(number(20..<29)))
        // What is no date (a 13th month, a 61st minute) comes out as another one.
        guard self.text == text else { return nil }
    }

    private static func digits(_ value: Int64, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }

    // The proleptic Gregorian calendar in eras of 400 years that begin on 1 March, so that the leap day comes last:
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    private static let daysPerEra: Int64 = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let daysBefore1970: Int64 = 719_468

    /// The date of a day that is so many days after 1970-01-01.
    public static func date(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + daysBefore1970).quotientAndRemainderFloored(dividingBy: daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// - Parameters:
    ///   - month: 1...12.
    ///   - day: counted on from the month's first, also beyond its end.
    public static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.quotientAndRemainderFloored(dividingBy: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * daysPerEra + dayOfEra - daysBefore1970
    }
}

extension Int64 {
    fileprivate func quotientAndRemainderFloored(dividingBy divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
