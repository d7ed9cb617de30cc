import ArgumentParser
import HawserControl
import HawserProvider

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Read and verify the log of who changed what.",
        subcommands: [AuditListCommand.self, AuditVerifyCommand.self]
    )
}

struct AuditListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the latest entries, the newest first.",
        discussion: "Example: hawser-provider audit list --action tenant --limit 20"
    )

    @Option(help: ArgumentHelp("At most so many entries.", valueName: "count")) var limit = 50
    @Option(help: ArgumentHelp("Only actions that begin with this.", valueName: "text")) var action = ""
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000.") }
    }

    func run() async throws {
        let entries = try await options.perform(AuditList(limit: limit, action: action))
        try Output.show(
            entries,
            options,
            ["NUMBER", "TIME", "WHO", "ACTION", "SUBJECT", "DETAIL"],
            entries.map { [String($0.sequence), $0.time.text, $0.actor, $0.action, $0.subject, $0.detail] }
        )
    }
}

struct AuditVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check that no entry was changed, removed or inserted.",
        discussion: """
            Keep the hash that it prints somewhere else: a later run shows then that the end was not cut off either.

            Example: hawser-provider audit verify
            """
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let proof = try await options.perform(AuditVerify())
        try Output.show(proof, options, "\(proof.entries) entries hold. The last hash is \(proof.lastHash).")
    }
}
