import ArgumentParser
import HawserProvider

struct AlarmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alarm",
        abstract: "See what wants a look.",
        subcommands: [AlarmListCommand.self]
    )
}

struct AlarmListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List full quotas, tenants without backups, contracts that end, keys to rotate.",
        discussion: "Example: hawser-provider alarm list --days-without-backup 2"
    )

    @Option(help: ArgumentHelp("Tenants whose last backup is older.", valueName: "days")) var daysWithoutBackup = 3
    @Option(help: ArgumentHelp("Contracts that end so soon.", valueName: "days")) var daysBeforeEnd = 30
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        guard (0...36_500).contains(daysWithoutBackup), (0...36_500).contains(daysBeforeEnd) else {
            throw ValidationError("Days are 0 to 36500.")
        }
    }

    func run() async throws {
        let request = AlarmList(daysWithoutBackup: daysWithoutBackup, daysBeforeEnd: daysBeforeEnd)
        let alarms = try await options.perform(request)
        try Output.show(
            alarms,
            options,
            ["ALARM", "SUBJECT", "MESSAGE"],
            alarms.map { [$0.code, $0.subject, $0.message] }
        )
    }
}
