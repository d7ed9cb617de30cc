public import HawserFormat

/// A point in time as the provider's database keeps it: milliseconds since 1970-01-01 00:00 UTC.
public struct Moment: Hashable, Comparable, Sendable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    public init(_ time: Timestamp) {
        milliseconds = time.seconds &* 1000 &+ Int64(time.nanoseconds / 1_000_000)
    }

    public var timestamp: Timestamp {
        let rest = milliseconds % 1000
        let forward = rest < 0 ? rest + 1000 : rest
        return Timestamp(seconds: (milliseconds - forward) / 1000, nanoseconds: UInt32(forward) * 1_000_000)
    }

    /// Seconds since 1970, as they travel in the control protocol.
    public var seconds: Double { Double(milliseconds) / 1000 }

    public static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }

    public static func + (moment: Moment, duration: Duration) -> Moment {
        let (seconds, attoseconds) = duration.components
        let distance = seconds.multipliedReportingOverflow(by: 1000)
        let sum = moment.milliseconds.addingReportingOverflow(
            distance.partialValue &+ attoseconds / 1_000_000_000_000_000
        )
        // A lifetime that reaches past the end of time ends there.
        let overflows = distance.overflow || sum.overflow
        return Moment(milliseconds: overflows ? (seconds < 0 ? .min : .max) : sum.partialValue)
    }

    public static func - (moment: Moment, duration: Duration) -> Moment { moment + (.zero - duration) }

    public static func - (left: Moment, right: Moment) -> Duration {
        .milliseconds(left.milliseconds &- right.milliseconds)
    }
}

/// As RFC 3339 text in UTC.
extension Moment: Codable, CustomStringConvertible {
    public var description: String { timestamp.text ?? "\(milliseconds) ms" }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let time = Timestamp(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time of RFC 3339")
        }
        self.init(time)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
