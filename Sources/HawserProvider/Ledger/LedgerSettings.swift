/// The ledger's numbers (`docs/control-protocol.md`, 7). Bytes and seconds.
public struct LedgerSettings: Codable, Sendable, Hashable {
    /// How long bytes stay set aside.
    public var leaseLifetime = 15 * 60
    /// A lease holds at most so many seconds of the session's rate.
    public var leaseSpan = 30
    /// A presigned request is good for so long.
    public var ticketLifetime = 15 * 60
    /// Clock skew and the longest PUT: a request that began just before the ticket's end may still be running so long.
    public var ticketGrace = 5 * 60 + 60 * 60
    /// What a prune may write beyond the limit: at least this, or what is used divided by `pruneDivisor`.
    public var pruneMinimum = 64 << 20
    public var pruneDivisor = 100

    public init() {}

    // 1 TiB: no rate of a real machine wants more, and sums stay far from overflowing.
    static let largestLease = 1 << 40
    // Of one session: each request that tells of stored bytes goes through them. A machine that stores all the time asks
    // for one in 30 s, or near the limit for one for each object.
    static let mostLeases = 1000

    func pruneAllowance(used: Int) -> Int {
        max(pruneMinimum, used / max(1, pruneDivisor))
    }

    /// How much a lease gives: what is needed; more, up to 30 s of the rate, while that leaves something for the others.
    ///
    /// - Parameters:
    ///   - free: at least `needed`; `nil` without a limit.
    ///   - sessions: that live, 1 or more.
    func leaseSize(needed: Int, rate: Int, free: Int?, sessions: Int) -> Int {
        let (span, overflow) = max(0, rate).multipliedReportingOverflow(by: leaseSpan)
        let wanted = min(overflow ? .max : span, Self.largestLease)
        return max(needed, free.map { min(wanted, $0 / (2 * max(1, sessions))) } ?? wanted)
    }
}
