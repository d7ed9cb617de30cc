import ArgumentParser
import HawserControl
import HawserProvider

struct MaintenanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "maintenance",
        abstract: "Close for maintenance, and open again.",
        subcommands: [MaintenanceOnCommand.self, MaintenanceOffCommand.self]
    )
}

struct MaintenanceOnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "on",
        abstract: "Open no new sessions; those that run go on.",
        discussion: "Example: hawser-provider maintenance on --message 'Back at 14:00 UTC.'"
    )

    @Option(help: ArgumentHelp("What tenants are told.", valueName: "text")) var message: String
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        guard !message.isEmpty, message.utf8.count <= 1000 else {
            throw ValidationError("A message has 1 to 1000 bytes.")
        }
    }

    func run() async throws {
        let answer = try await options.perform(MaintenanceSet(message: message))
        try Output.show(answer, options, "Maintenance is on.")
    }
}

struct MaintenanceOffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "off",
        abstract: "Open sessions again.",
        discussion: "Example: hawser-provider maintenance off"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(MaintenanceSet(message: nil))
        try Output.show(answer, options, "Maintenance is off.")
    }
}
