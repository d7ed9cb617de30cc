import NIOCore

/// How loaded and how healthy each backend is, and which one comes next. Pure: the time is given.
struct Backends {
    struct Health: Equatable {
        /// Connections that are open or being opened.
        var load = 0
        /// In a row.
        var failures = 0
        /// Not to be tried before this, unless no other is left.
        var asideUntil: NIODeadline?
    }

    private(set) var health: [BackendAddress: Health]

    /// A restart takes seconds; the pause doubles with each failure.
    static let firstPause = TimeAmount.seconds(1)
    /// How late a backend that has come back may be found.
    static let longestPause = TimeAmount.seconds(60)

    init(_ addresses: Set<BackendAddress>) {
        health = Dictionary(uniqueKeysWithValues: addresses.map { ($0, Health()) })
    }

    /// Other routes hold: what is known of a backend that stays is kept.
    mutating func replace(with addresses: Set<BackendAddress>) {
        health = Dictionary(uniqueKeysWithValues: addresses.map { ($0, health[$0] ?? Health()) })
    }

    /// The least loaded healthy one, counted as loaded from now on; among equals a random one, so that several relays don't
    /// all begin with the first. When all are set aside, the one whose pause ends first: it may be back. `nil` when all were
    /// tried.
    ///
    /// Of one whose pause is over only one connection is tried until it is known to be well: it has the least load, and all
    /// the others would wait with it.
    mutating func pick(
        from candidates: [BackendAddress],
        tried: [BackendAddress],
        now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> BackendAddress? {
        let left = candidates.filter { !tried.contains($0) }.shuffled(using: &generator)
        let ready = left.filter { isReady($0, now) }
        let choice =
            ready.min { load($0) < load($1) }
            ?? left.min { (health[$0]?.asideUntil ?? now) < (health[$1]?.asideUntil ?? now) }
        guard let choice else { return nil }
        health[choice]?.load += 1
        if let failures = health[choice]?.failures, failures > 0 {
            health[choice]?.asideUntil = now + Backends.pause(after: failures)
        }
        return choice
    }

    /// Returns whether it was set aside until now.
    mutating func succeeded(_ address: BackendAddress) -> Bool {
        guard var known = health[address] else { return false }
        let wasAside = known.failures > 0
        known.failures = 0
        known.asideUntil = nil
        health[address] = known
        return wasAside
    }

    /// It could not be reached. Returns whether that is news.
    mutating func failed(_ address: BackendAddress, now: NIODeadline) -> Bool {
        guard var known = health[address] else { return false }
        // Of before a reload, which began at zero.
        known.load = max(0, known.load - 1)
        known.failures += 1
        known.asideUntil = now + Backends.pause(after: known.failures)
        health[address] = known
        return known.failures == 1
    }

    /// A connection to it is closed, or was given up before it was there.
    mutating func released(_ address: BackendAddress) {
        // Routes that were taken out and put in again begin anew at 0.
        guard let load = health[address]?.load, load > 0 else { return }
        health[address]?.load = load - 1
    }

    static func pause(after failures: Int) -> TimeAmount {
        let doubled = firstPause.nanoseconds << min(max(failures - 1, 0), 16)
        return .nanoseconds(min(doubled, longestPause.nanoseconds))
    }

    private func isReady(_ address: BackendAddress, _ now: NIODeadline) -> Bool {
        health[address]?.asideUntil.map { $0 <= now } ?? true
    }

    private func load(_ address: BackendAddress) -> Int { health[address]?.load ?? 0 }
}
