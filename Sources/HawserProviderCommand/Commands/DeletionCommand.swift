import ArgumentParser
import HawserControl
import HawserProvider

struct DeletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deletion",
        abstract: "See and approve deletions that are held because they look like a spree.",
        subcommands: [DeletionListCommand.self, DeletionApproveCommand.self]
    )
}

struct DeletionListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the deletions that wait for approval.",
        discussion: "Example: hawser-provider deletion list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let deletions = try await options.perform(DeletionsHeld())
        try Output.show(
            deletions,
            options,
            ["ID", "FOLDER", "OBJECTS", "REQUESTED"],
            deletions.map { [$0.id.text, $0.folder.text, String($0.keys.count), $0.requested.text] }
        )
    }
}

struct DeletionApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Carry a held deletion out.",
        discussion: "Example: hawser-provider deletion approve 0123456789abcdef0123456789abcdef"
    )

    @Argument(help: "The deletion's id.") var deletion: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(DeletionApprove(deletion: deletion))
        try Output.show(answer, options, "Approved deletion \(deletion).")
    }
}
