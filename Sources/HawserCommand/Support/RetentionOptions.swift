public import ArgumentParser
public import Hawser

/// `--keep-…`, spelled as with restic.
struct RetentionOptions: ParsableArguments {
    @Option(name: [.customShort("l"), .long], help: ArgumentHelp("The newest n snapshots.", valueName: "n"))
    var keepLast: KeepCount?
    @Option(name: [.customShort("H"), .long], help: ArgumentHelp("The last of n hours.", valueName: "n"))
    var keepHourly: KeepCount?
    @Option(name: [.customShort("d"), .long], help: ArgumentHelp("The last of n days.", valueName: "n"))
    var keepDaily: KeepCount?
    @Option(name: [.customShort("w"), .long], help: ArgumentHelp("The last of n weeks.", valueName: "n"))
    var keepWeekly: KeepCount?
    @Option(name: [.customShort("m"), .long], help: ArgumentHelp("The last of n months.", valueName: "n"))
    var keepMonthly: KeepCount?
    @Option(name: [.customShort("y"), .long], help: ArgumentHelp("The last of n years.", valueName: "n"))
    var keepYearly: KeepCount?
    @Option(help: ArgumentHelp("All that are younger than this, seen from the newest: 1y5m7d2h.", valueName: "period"))
    var keepWithin: RetentionPeriod?
    @Option(help: ArgumentHelp("The last of each hour within this.", valueName: "period"))
    var keepWithinHourly: RetentionPeriod?
    @Option(help: ArgumentHelp("The last of each day within this.", valueName: "period"))
    var keepWithinDaily: RetentionPeriod?
    @Option(help: ArgumentHelp("The last of each week within this.", valueName: "period"))
    var keepWithinWeekly: RetentionPeriod?
    @Option(help: ArgumentHelp("The last of each month within this.", valueName: "period"))
    var keepWithinMonthly: RetentionPeriod?
    @Option(help: ArgumentHelp("The last of each year within this.", valueName: "period"))
    var keepWithinYearly: RetentionPeriod?
    @Option(
        help: ArgumentHelp(
            "Those with all of these tags; can be given several times; empty for those without tags.",
            valueName: "tag,tag"
        )
    )
    var keepTag: [String] = []
    @Option(help: ArgumentHelp("The newest n of each group, whatever the other rules say.", valueName: "n"))
    var keepAtLeast = 1

    private var counts: [(RetentionPolicy.Interval, KeepCount?)] {
        [
            (.hourly, keepHourly), (.daily, keepDaily), (.weekly, keepWeekly), (.monthly, keepMonthly),
            (.yearly, keepYearly),
        ]
    }

    private var periods: [(RetentionPolicy.Interval, RetentionPeriod?)] {
        [
            (.hourly, keepWithinHourly), (.daily, keepWithinDaily), (.weekly, keepWithinWeekly),
            (.monthly, keepWithinMonthly), (.yearly, keepWithinYearly),
        ]
    }

    /// Whether no rule was given.
    var isEmpty: Bool {
        keepLast == nil && counts.allSatisfy { $0.1 == nil } && keepWithin == nil
            && periods.allSatisfy { $0.1 == nil } && keepTag.isEmpty
    }

    func validate() throws {
        guard keepAtLeast >= 1 else { throw ValidationError("--keep-at-least is 1 or more.") }
    }

    /// - Throws: when the rules given could keep nothing, such as `--keep-last 0` alone.
    func policy() throws -> RetentionPolicy {
        var policy = RetentionPolicy()
        policy.last = keepLast?.count ?? 0
        for (interval, count) in counts { policy.counts[interval] = count?.count }
        policy.within = keepWithin
        for (interval, period) in periods { policy.withinIntervals[interval] = period }
        policy.tags = keepTag.map(TagList.parse)
        policy.atLeast = keepAtLeast
        if policy.isEmpty {
            throw ValidationError("This policy keeps nothing: name the snapshots that are to be removed.")
        }
        return policy
    }
}

/// A number, or `unlimited`.
struct KeepCount: ExpressibleByArgument, Hashable {
    var count: Int

    init?(argument: String) {
        if argument == "unlimited" || argument == "-1" {
            count = .max
        } else {
            guard let number = Int(argument), number >= 0 else { return nil }
            count = number
        }
    }
}

extension RetentionPeriod: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
