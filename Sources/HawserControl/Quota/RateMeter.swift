#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bytes a second at present: an average in which what was seconds ago counts less and less. Pure.
struct RateMeter {
    // Long enough not to jump with each pack, short enough to follow a link that becomes faster within some leases.
    private static let memory = 10.0

    private var rate = 0.0
    private var updated: Duration?

    mutating func add(_ bytes: Int, now: Duration) {
        decay(to: now)
        rate += Double(bytes) / Self.memory
    }

    mutating func bytesPerSecond(now: Duration) -> Int {
        decay(to: now)
        return Int(rate.rounded())
    }

    private mutating func decay(to now: Duration) {
        let elapsed = max((now - (updated ?? now)) / .seconds(1), 0)
        updated = now
        rate *= exp(-elapsed / Self.memory)
    }
}
