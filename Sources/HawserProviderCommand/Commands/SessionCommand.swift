import ArgumentParser
import HawserControl
import HawserProvider

struct SessionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "See and end running sessions.",
        subcommands: [SessionListCommand.self, SessionEndCommand.self]
    )
}

struct SessionListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the sessions that run.",
        discussion: "Example: hawser-provider session list acme"
    )

    @Argument(help: "The tenant's name or id; all, unless given.") var tenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let sessions = try await options.perform(SessionsShow(tenant: tenant))
        try Output.show(
            sessions,
            options,
            ["ID", "TENANT", "SUBTENANT", "DEVICE", "PURPOSE", "PROGRAM", "OPENED", "LAST REQUEST"],
            sessions.map { view in
                let session = view.session
                return [
                    session.id.text, view.tenant, view.subtenant ?? "-", view.device, session.purpose.rawValue,
                    session.agent, session.opened.text, session.lastRequest.text,
                ]
            }
        )
    }
}

struct SessionEndCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "end",
        abstract: "End a session.",
        discussion: "Example: hawser-provider session end 0123456789abcdef0123456789abcdef --reason 'moving storage'"
    )

    @Argument(help: "The session's id.") var session: String
    @Option(help: ArgumentHelp("What the tenant is told.", valueName: "text"))
    var reason = "The provider has ended the session."
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(SessionEnd(session: session, reason: reason))
        try Output.show(answer, options, "Ended session \(session).")
    }
}
