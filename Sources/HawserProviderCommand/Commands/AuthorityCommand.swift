import ArgumentParser
import HawserFormat
import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct AuthorityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ca",
        abstract: "See and replace the authority that tenants trust.",
        subcommands: [AuthorityShowCommand.self, AuthorityRotateCommand.self]
    )
}

struct AuthorityShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show when the certificate ends and what a rotation does next.",
        discussion: "Example: hawser-provider ca show"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        try await AuthorityCommand.ask(AuthorityStatus.operation, Data(), options)
    }
}

struct AuthorityRotateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Announce a new authority.",
        discussion: """
            Tenants hear of it when they sign in. After the overlap it signs, and after another the old one is dropped;
            the server does both by itself. A tenant that did not sign in during the first needs a new join string.

            Example: hawser-provider ca rotate --days 60
            """
    )

    @Option(help: ArgumentHelp("Days of overlap, at least 30.", valueName: "days"))
    var days = 30
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let request = try JSONEncoder().encode(RotateAuthority(days: days))
        try await AuthorityCommand.ask(RotateAuthority.operation, request, options)
    }
}

extension AuthorityCommand {
    /// By the running server only: it is the one that shows the certificate.
    fileprivate static func ask(_ operation: String, _ request: Data, _ options: ProviderOptions) async throws {
        let answer = try await AdminClient.withClient(socket: options.folder.adminSocket) {
            try await $0.perform(operation, request)
        }
        let status = try JSONDecoder().decode(AuthorityStatus.self, from: answer)
        var text = "Authorities that tenants trust: \(status.authorities.count)"
        text += "\nThe server's certificate ends: \(status.certificateEnds.text) UTC"
        text += status.isGiven ? "; whoever made it renews it." : "; it is renewed before."
        text += status.isGiven ? "\nThe given authority, or our own if that ends earlier," : "\nThe authority"
        text += " ends: \(status.authorityEnds.text) UTC; "
        text += status.isGiven ? "a given root is replaced by another in its file, our own" : "it is replaced"
        text += " by `ca rotate`."
        if let next = status.nextStep { text += "\nThe rotation's next step: \(next.text) UTC" }
        try Output.show(status, options, text)
    }
}
