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
        abstract: "List full quotas, tenants without backups, contracts that end, and what else wants a look.",
        discussion: """
            Certificates and the disk are looked at by the running server only. Days that are not given are as `serve` was \
            told, or else 3 and 30.

            Example: hawser-provider alarm list --days-without-backup 2
            """
    )

    @Option(help: ArgumentHelp("Tenants whose last backup is older.", valueName: "days")) var daysWithoutBackup: Int?
    @Option(help: ArgumentHelp("Contracts that end so soon.", valueName: "days")) var daysBeforeEnd: Int?
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        guard [daysWithoutBackup, daysBeforeEnd].compactMap(\.self).allSatisfy(AlarmSettings.days.contains) else {
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
