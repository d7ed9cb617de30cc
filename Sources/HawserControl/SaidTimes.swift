public import HawserFormat

extension Duration {
    /// What somebody else says: no number of his ends this program. A century is as good as for ever.
    init(saidSeconds seconds: Double) {
        let century = 100.0 * 365 * 86_400
        self = .seconds(seconds.isNaN ? 0 : min(max(seconds, -century), century))
    }
}

extension Timestamp {
    /// What somebody else says, seconds since 1970; `nil` for what is no time of objects.
    public init?(saidSeconds seconds: Double) {
        // Year 9999.
        guard (0..<253_402_300_800).contains(seconds) else { return nil }
        let milliseconds = Int64((seconds * 1000).rounded())
        self.init(seconds: milliseconds / 1000, nanoseconds: UInt32(milliseconds % 1000) * 1_000_000)
    }
}
