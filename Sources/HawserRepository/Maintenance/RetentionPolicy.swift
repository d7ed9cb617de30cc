public import HawserFormat

/// Which snapshots of a group stay. What it means is what restic's `forget` means by the same names ("Removing snapshots
/// according to a policy" in restic's documentation), with two differences: snapshots of the future count for nothing,
/// and a floor can't be undercut.
///
/// A snapshot stays when any rule keeps it.
public struct RetentionPolicy: Sendable, Hashable {
    /// Of each interval of the calendar, the last snapshot.
    public enum Interval: String, Sendable, Hashable, CaseIterable {
        case hourly, daily, weekly, monthly, yearly
    }

    /// How many of the newest snapshots stay; `Int.max` for all.
    public var last = 0
    /// In how many intervals the last snapshot stays, counted from the newest; `Int.max` for all.
    public var counts: [Interval: Int] = [:]
    /// All snapshots stay that are younger than this, seen from the newest one.
    public var within: RetentionPeriod?
    /// The last snapshot of each interval stays that is younger than this, seen from the newest one.
    public var withinIntervals: [Interval: RetentionPeriod] = [:]
    /// Snapshots stay that have all tags of one of these lists; an empty list means those without tags.
    public var tags: [[[UInt8]]] = []
    /// So many of the newest snapshots stay in any case, those of the future not counted.
    public var atLeast = 1

    public init() {}

    /// Whether it has no rule by which a snapshot could stay. Then all stay: nobody means to remove everything.
    public var isEmpty: Bool {
        last <= 0 && counts.values.allSatisfy { $0 <= 0 } && within == nil && withinIntervals.isEmpty && tags.isEmpty
    }
}

/// Why a snapshot stays.
public enum RetentionReason: Hashable, Sendable {
    case last
    /// `isOldest`: not the last of its interval, but nothing is older and the count is not used up.
    case interval(RetentionPolicy.Interval, isOldest: Bool)
    case within(RetentionPeriod)
    case intervalWithin(RetentionPolicy.Interval, RetentionPeriod, isOldest: Bool)
    case tags([[UInt8]])
    /// The floor.
    case atLeast(Int)
    /// Its time has not come yet: nobody knows what it is worth.
    case future
    case emptyPolicy
}

extension RetentionReason: CustomStringConvertible {
    public var description: String {
        func oldest(_ isOldest: Bool) -> String { isOldest ? "oldest " : "" }
        switch self {
        case .last: return "last snapshot"
        case .interval(let interval, let isOldest): return oldest(isOldest) + interval.rawValue + " snapshot"
        case .within(let period): return "within \(period)"
        case .intervalWithin(let interval, let period, let isOldest):
            return oldest(isOldest) + interval.rawValue + " within \(period)"
        case .tags(let tags): return "has tags " + tags.map { displayText($0) }.joined(separator: ",")
        case .atLeast(let count): return "one of the newest \(count)"
        case .future: return "in the future"
        case .emptyPolicy: return "policy is empty"
        }
    }
}

/// A snapshot with the time by which it is retained.
public struct RetentionCandidate: Sendable {
    public var stored: StoredSnapshot
    public var time: Timestamp
    /// When somebody took note of its time. Of several with one time, which take another's place as they say, the first counts
    /// before the later ones: whoever comes later pushes nothing out.
    public var noted: Timestamp

    public init(_ stored: StoredSnapshot, time: Timestamp, noted: Timestamp? = nil) {
        self.stored = stored
        self.time = time
        self.noted = noted ?? time
    }

    fileprivate static func isNewer(_ left: Self, _ right: Self) -> Bool {
        if left.time != right.time { return left.time > right.time }
        if left.noted != right.noted { return left.noted < right.noted }
        return left.stored.id > right.stored.id
    }
}

/// What a policy says of a snapshot: it goes if there is no reason for it to stay.
public struct RetentionDecision: Sendable {
    public var candidate: RetentionCandidate
    public var reasons: [RetentionReason]

    public var isKept: Bool { !reasons.isEmpty }
}

extension RetentionPolicy {
    /// Decides about the snapshots of one group.
    ///
    /// - Parameters:
    ///   - zone: how many seconds local time is ahead of UTC at a time: hours and days are the user's.
    /// - Returns: the newest first.
    public func decide(
        _ group: [RetentionCandidate],
        now: Timestamp,
        zone: (Timestamp) -> Int64
    ) -> [RetentionDecision] {
        let sorted = group.sorted(by: RetentionCandidate.isNewer)
        let future = sorted.prefix { $0.time > now }
        let past = sorted.dropFirst(future.count)
        var decisions = future.map { RetentionDecision(candidate: $0, reasons: [.future]) }
        guard let newest = past.first, let oldest = past.indices.last else { return decisions }
        var buckets = Interval.allCases.map { Bucket(interval: $0, left: counts[$0] ?? 0, period: nil) }
        buckets += Interval.allCases.compactMap { interval in
            withinIntervals[interval].map { Bucket(interval: interval, left: .max, period: $0) }
        }
        for (index, candidate) in zip(past.indices, past) {
            let place = index - past.startIndex
            var reasons: [RetentionReason] = []
            for list in tags where Self.matches(candidate.stored.snapshot.tags, list) { reasons.append(.tags(list)) }
            if place < last { reasons.append(.last) }
            if let within, candidate.time > within.before(newest.time, zone: zone) { reasons.append(.within(within)) }
            let local = CalendarTime(candidate.time, zone: zone)
            for number in buckets.indices {
                if let period = buckets[number].period, candidate.time <= period.before(newest.time, zone: zone) {
                    continue
                }
                if let reason = buckets[number].take(local, isOldest: index == oldest) { reasons.append(reason) }
            }
            if isEmpty { reasons.append(.emptyPolicy) }
            if reasons.isEmpty, place < atLeast { reasons.append(.atLeast(atLeast)) }
            decisions.append(RetentionDecision(candidate: candidate, reasons: reasons))
        }
        return decisions
    }

    private static func matches(_ tags: [[UInt8]], _ list: [[UInt8]]) -> Bool {
        list.isEmpty ? tags.isEmpty : list.allSatisfy(tags.contains)
    }
}

/// Takes the last snapshot of each interval, the newest first, until its count is used up.
private struct Bucket {
    let interval: RetentionPolicy.Interval
    var left: Int
    let period: RetentionPeriod?
    private var current: Int64?

    init(interval: RetentionPolicy.Interval, left: Int, period: RetentionPeriod?) {
        self.interval = interval
        self.left = left
        self.period = period
    }

    mutating func take(_ time: CalendarTime, isOldest: Bool) -> RetentionReason? {
        guard left > 0 else { return nil }
        let number = time.number(of: interval)
        let isNew = number != current
        // The history that is kept is as long as it can be while some count is left.
        guard isNew || isOldest else { return nil }
        current = number
        if left < .max { left -= 1 }
        if let period { return .intervalWithin(interval, period, isOldest: !isNew) }
        return .interval(interval, isOldest: !isNew)
    }
}
