import ArgumentParser
import HawserControl
import HawserProvider

struct RecoveryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery",
        abstract: "After a restore of the configuration database.",
        subcommands: [RecoveryApproveCommand.self]
    )
}

struct RecoveryApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Carry out deletions that were asked for before the restore.",
        discussion: "Example: hawser-provider recovery approve"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(RecoveryApprove())
        try Output.show(answer, options, "Deletions from before the restore are carried out again.")
    }
}
