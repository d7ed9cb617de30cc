import HawserFormat
import Testing

@testable import HawserRepository

/// Cases from restic's documentation ("Removing snapshots according to a policy") and what follows from it.
@Suite("Retention")
struct RetentionPolicyTests {
    private static let utc: @Sendable (Timestamp) -> Int64 = { _ in 0 }
    private static let now = time("2030-01-01T00:00")

    /// `2019-09-01T11:00`, UTC.
    private static func time(_ text: String) -> Timestamp {
        Timestamp(text: text + ":00.000000000Z") ?? Timestamp(seconds: 0)
    }

    private static func candidates(_ times: [String], tags: [String: [String]] = [:]) -> [RetentionCandidate] {
        times.enumerated().map { number, text in
            var snapshot = Snapshot(
                time: time(text),
                hostname: [],
                username: [],
                paths: [],
                tree: ChunkID([UInt8](repeating: 0, count: 32)) ?? ChunkID(hex: String(repeating: "0", count: 64))!,
                treeHeight: 0,
                programVersion: "test",
                summary: Snapshot.Summary(started: time(text), ended: time(text))
            )
            snapshot.tags = (tags[text] ?? []).map { Array($0.utf8) }
            let id = ObjectName(hashOf: [UInt8(number & 255), UInt8(number >> 8)])
            return RetentionCandidate(StoredSnapshot(id: id, snapshot: snapshot), time: time(text))
        }
    }

    private static func kept(
        _ times: [String],
        tags: [String: [String]] = [:],
        now: Timestamp = now,
        zone: (Timestamp) -> Int64 = utc,
        _ change: (inout RetentionPolicy) -> Void
    ) -> [String] {
        var policy = RetentionPolicy()
        change(&policy)
        return policy.decide(candidates(times, tags: tags), now: now, zone: zone).filter(\.isKept)
            .map { String(($0.candidate.stored.snapshot.time.text ?? "").prefix(16)) }.sorted()
    }

    /// The documentation's example: a backup every Sunday for 12 weeks.
    private static let sundays = [
        "2019-09-01", "2019-09-08", "2019-09-15", "2019-09-22", "2019-09-29", "2019-10-06", "2019-10-13", "2019-10-20",
        "2019-10-27", "2019-11-03", "2019-11-10", "2019-11-17",
    ].map { $0 + "T11:00" }

    @Test("Counts go by intervals that have snapshots, not by intervals that pass")
    func sparse() {
        #expect(Self.kept(Self.sundays) { $0.counts[.daily] = 4 } == Array(Self.sundays.suffix(4)))
        #expect(Self.kept(Self.sundays) { $0.counts[.weekly] = 3 } == Array(Self.sundays.suffix(3)))
        #expect(Self.kept(Self.sundays) { $0.last = 2 } == Array(Self.sundays.suffix(2)))
        #expect(
            Self.kept(Self.sundays) { $0.counts[.monthly] = 2 } == ["2019-10-27T11:00", "2019-11-17T11:00"]
        )
    }

    @Test("Where the count is not used up, the oldest stays as well")
    func oldest() {
        let expected = ["2019-09-01T11:00", "2019-09-29T11:00", "2019-10-27T11:00", "2019-11-17T11:00"]
        #expect(Self.kept(Self.sundays) { $0.counts[.monthly] = 6 } == expected)
        #expect(Self.kept(Self.sundays) { $0.counts[.monthly] = 3 } == Array(expected.dropFirst()))
        #expect(Self.kept(Self.sundays) { $0.counts[.yearly] = 5 } == ["2019-09-01T11:00", "2019-11-17T11:00"])
    }

    @Test("A snapshot a day for a hundred years, as in the documentation")
    func century() {
        var times: [String] = []
        let first = Timestamp.daysSince1970(year: 1930, month: 1, day: 1)
        for day in first..<Timestamp.daysSince1970(year: 2030, month: 1, day: 1) {
            times.append(String((Timestamp(seconds: day * Timestamp.secondsPerDay + 3600).text ?? "").prefix(16)))
        }
        let kept = Self.kept(times) { policy in
            policy.counts = [.daily: 7, .weekly: 5, .monthly: 12, .yearly: 75]
        }
        // 7 days; 3 more weeks, as the last day is a Monday and two of the days end a week; 11 months; 74 years.
        #expect(kept.count == 7 + 3 + 11 + 74)
        #expect(kept.filter { $0.hasSuffix("12-31T01:00") }.count == 75)
    }

    @Test("Of each hour, day, week, month and year the last snapshot stays")
    func intervals() {
        let times = [
            "2026-03-01T10:05", "2026-03-01T10:55", "2026-03-01T23:10", "2026-03-02T00:10", "2026-03-02T00:20",
        ]
        #expect(Self.kept(times) { $0.counts[.hourly] = 2 } == ["2026-03-01T23:10", "2026-03-02T00:20"])
        #expect(
            Self.kept(times) { $0.counts[.hourly] = 3 } == ["2026-03-01T10:55", "2026-03-01T23:10", "2026-03-02T00:20"]
        )
        #expect(Self.kept(times) { $0.counts[.daily] = 2 } == ["2026-03-01T23:10", "2026-03-02T00:20"])
        // The first of March 2026 is a Sunday: the next day is another week.
        #expect(Self.kept(times) { $0.counts[.weekly] = 2 } == ["2026-03-01T23:10", "2026-03-02T00:20"])
        #expect(Self.kept(times) { $0.counts[.monthly] = 1 } == ["2026-03-02T00:20"])
        // 28 December 2026 to 3 January 2027 is one week.
        let newYear = ["2026-12-27T12:00", "2026-12-28T12:00", "2027-01-03T12:00", "2027-01-04T12:00"]
        #expect(Self.kept(newYear) { $0.counts[.weekly] = 2 } == ["2027-01-03T12:00", "2027-01-04T12:00"])
    }

    @Test("Hours and days are local ones")
    func zones() {
        let times = ["2026-03-01T22:30", "2026-03-01T23:30"]
        #expect(Self.kept(times) { $0.counts[.daily] = 1 } == ["2026-03-01T23:30"])
        let hourAhead: (Timestamp) -> Int64 = { _ in 3600 }
        let kept = Self.kept(times, zone: hourAhead) { $0.counts[.daily] = 2 }
        #expect(kept == times)
    }

    @Test("Periods are seen from the newest snapshot, by the calendar")
    func within() throws {
        let times = ["2026-04-29T12:00", "2026-04-30T12:00", "2026-05-01T12:00", "2026-05-31T12:00"]
        let month = try #require(RetentionPeriod("1m"))
        // A month before 31 May is "31 April", 1 May; at the same time of day: no longer within.
        #expect(Self.kept(times) { $0.within = month } == ["2026-05-31T12:00"])
        let days = try #require(RetentionPeriod("31d1h"))
        #expect(Self.kept(times) { $0.within = days } == ["2026-04-30T12:00", "2026-05-01T12:00", "2026-05-31T12:00"])
        let hourly = ["2026-05-30T12:00", "2026-05-31T11:10", "2026-05-31T11:20", "2026-05-31T12:00"]
        let day = try #require(RetentionPeriod("23h"))
        #expect(
            Self.kept(hourly) { $0.withinIntervals[.hourly] = day } == ["2026-05-31T11:20", "2026-05-31T12:00"]
        )
    }

    @Test("Tags keep; an empty list keeps those without tags")
    func tags() {
        let times = ["2026-05-01T12:00", "2026-05-02T12:00", "2026-05-03T12:00", "2026-05-04T12:00"]
        let tags = [times[0]: ["a", "b"], times[1]: ["a"], times[3]: ["c"]]
        func list(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }
        #expect(
            Self.kept(times, tags: tags) {
                $0.tags = [list("a", "b")]
                $0.last = 1
            } == [times[0], times[3]]
        )
        #expect(Self.kept(times, tags: tags) { $0.tags = [list("a"), list("c")] } == [times[0], times[1], times[3]])
        #expect(
            Self.kept(times, tags: tags) {
                $0.tags = [[]]
                $0.last = 1
            } == [times[2], times[3]]
        )
    }

    @Test("An empty policy keeps all; a floor can't be undercut")
    func floor() throws {
        #expect(Self.kept(Self.sundays) { $0.last = 0 } == Self.sundays)
        let hour = try #require(RetentionPeriod("1h"))
        #expect(
            Self.kept(Self.sundays) {
                $0.within = hour
                $0.atLeast = 3
            } == Array(Self.sundays.suffix(3))
        )
        #expect(Self.kept(Self.sundays) { $0.tags = [[Array("x".utf8)]] } == Array(Self.sundays.suffix(1)))
        #expect(Self.kept(Self.sundays) { $0.last = .max } == Self.sundays)
    }

    @Test("Snapshots of the future stay and push nothing out")
    func future() {
        let times = ["2026-05-01T12:00", "2026-05-02T12:00", "2099-01-01T00:00"]
        let kept = Self.kept(times, now: Self.time("2026-05-03T00:00")) { $0.last = 1 }
        #expect(kept == ["2026-05-02T12:00", "2099-01-01T00:00"])
    }

    @Test("Each decision says why")
    func reasons() {
        var policy = RetentionPolicy()
        policy.last = 1
        policy.counts = [.daily: 2, .yearly: 2]
        let decisions = policy.decide(Self.candidates(Array(Self.sundays.suffix(3))), now: Self.now, zone: Self.utc)
        #expect(
            decisions.map { $0.reasons.map(\.description) } == [
                ["last snapshot", "daily snapshot", "yearly snapshot"], ["daily snapshot"], ["oldest yearly snapshot"],
            ]
        )
    }

    @Test("Periods are spelled as with restic")
    func periods() {
        #expect(RetentionPeriod("2y5m7d3h")?.description == "2y5m7d3h")
        #expect(RetentionPeriod("36h")?.hours == 36)
        for text in ["", "7", "d", "1w", "1d1d", "0d", "-1d", "1d2", "99999999999999999999y"] {
            #expect(RetentionPeriod(text) == nil, "\(text)")
        }
    }
}
