import ArgumentParser
import HawserControl
import HawserProvider

struct DeletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deletion",
        abstract: "See deletions that insider protection keeps or that look like a spree, and decide on them.",
        subcommands: [DeletionListCommand.self, DeletionApproveCommand.self, DeletionRejectCommand.self]
    )
}

struct DeletionListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract:
            "List the deletions that insider protection keeps, and those that are held as they look like a spree.",
        discussion: "Example: hawser-provider deletion list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let deletions = try await options.perform(DeletionList())
        try Output.show(
            deletions,
            options,
            ["ID", "TENANT", "SUBTENANT", "REPOSITORY", "OBJECTS", "REQUESTED", "STATE"],
            deletions.map {
                [
                    $0.id.text, $0.tenant, $0.subtenant ?? "-", $0.repository, String($0.objects), $0.requested.text,
                    $0.state == .held ? "held" : "until \($0.notBefore.text)",
                ]
            }
        )
    }
}

struct DeletionApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Carry held deletions out.",
        discussion: "Example: hawser-provider deletion approve 0123456789abcdef0123456789abcdef"
    )

    @Argument(help: "The deletions' ids.") var deletions: [String]
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(DeletionApprove(deletions: deletions))
        try Output.show(answer, options, "Approved: \(deletions.joined(separator: ", ")).")
    }
}

struct DeletionRejectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject",
        abstract: "Keep the objects of deletions for good: tenants see them again.",
        discussion: "Example: hawser-provider deletion reject 0123456789abcdef0123456789abcdef"
    )

    @Argument(help: "The deletions' ids.") var deletions: [String]
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(DeletionReject(deletions: deletions))
        try Output.show(answer, options, "Rejected: \(deletions.joined(separator: ", ")).")
    }
}
