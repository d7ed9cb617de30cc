import ArgumentParser
import HawserControl
import HawserProvider

struct RecoveryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery",
        abstract: "After a restore of the configuration database, or a long time without a server.",
        subcommands: [RecoveryApproveCommand.self]
    )
}

struct RecoveryApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Carry out deletions from before a restore, or approve the clock.",
        discussion: """
            With --clock: say that the clock is right, which was days ahead when the server started. It goes by it from its \
            next start on.

            Example: hawser-provider recovery approve
            """
    )

    @Flag(help: "Approve the clock, and not deletions.") var clock = false
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        if clock {
            let answer = try await options.perform(ClockApprove())
            return try Output.show(answer, options, "The clock is approved. Restart the server.")
        }
        let answer = try await options.perform(RecoveryApprove())
        try Output.show(answer, options, "Deletions from before the restore are carried out again.")
    }
}
