/// Bounds an average rate of bytes. Pure: the owner asks and sleeps.
///
/// Bytes are paid for in the order in which they are charged. A request may begin when all before it are paid, whatever
/// its own length: so the first one after a pause begins at once, and its debt holds up the next.
package struct TokenBucket {
    /// The place of a request in the order.
    package typealias Ticket = Double

    // What an idle second leaves for a burst: long enough for small requests not to wait, short enough for users to
    // see the rate that they asked for.
    private static let burst = 1.0

    /// Bytes per second; `nil`: no bound.
    package private(set) var rate: Int?
    // Totals since the beginning, exact to the byte up to 8 PiB. `paid` is at most a burst ahead of `charged`.
    private var charged = 0.0
    private var paid: Double
    private var updated: Duration

    package init(rate: Int?, now: Duration) {
        self.rate = rate
        paid = Double(rate ?? 0) * Self.burst
        updated = now
    }

    package mutating func setRate(_ rate: Int?, now: Duration) {
        update(now)
        self.rate = rate
    }

    package mutating func charge(_ bytes: Int, now: Duration) -> Ticket {
        update(now)
        defer { charged += Double(bytes) }
        return charged
    }

    /// For a request that will not be made: those behind it move up.
    package mutating func refund(_ bytes: Int) {
        paid = min(paid + Double(bytes), charged + Double(rate ?? 0) * Self.burst)
    }

    /// How long until the request may begin at this rate; `nil`: now.
    package mutating func delay(_ ticket: Ticket, now: Duration) -> Duration? {
        update(now)
        guard let rate, ticket > paid else { return nil }
        // A millisecond more than computed, so that rounding does not make it a loop of tiny pauses.
        return .seconds((ticket - paid) / Double(rate)) + .milliseconds(1)
    }

    private mutating func update(_ now: Duration) {
        let elapsed = max((now - updated).inSeconds, 0)
        updated = now
        guard let rate else {
            paid = charged
            return
        }
        paid = min(paid + elapsed * Double(rate), charged + Double(rate) * Self.burst)
    }
}
