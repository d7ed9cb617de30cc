import ArgumentParser
import HawserControl
import HawserFormat
import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct WebhookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook",
        abstract: "Have other programs told of alarms.",
        subcommands: [
            WebhookAddCommand.self, WebhookListCommand.self, WebhookRemoveCommand.self, WebhookTestCommand.self,
        ]
    )
}

struct WebhookAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Send each new alarm to an address.",
        discussion: """
            Events are signed with a secret that is shown once, unless you give one.

            Example: hawser-provider webhook add https://alerts.example/hawser
            """
    )

    @Argument(help: "The address: https, or http to this machine.") var url: String
    @Option(
        help: ArgumentHelp("Read the secret from this file; - for the standard input.", valueName: "file"),
        completion: .file()
    )
    var secretFile: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let secret = try secretFile.map { Data(try SecretInput.read($0)) }
        let answer = try await options.perform(WebhookAdd(url: url, secret: secret))
        let made = answer.secret.map { " Its secret, which is not shown again: \($0)" } ?? ""
        try Output.show(answer, options, "Added webhook \(answer.webhook.id).\(made)")
    }
}

struct WebhookListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the webhooks, and how they do.",
        discussion: "Example: hawser-provider webhook list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let webhooks = try await options.perform(WebhookList())
        try Output.show(
            webhooks,
            options,
            ["ID", "HOST", "LAST SUCCESS", "WAITING", "FAILURE"],
            webhooks.map { [$0.id.text, $0.host, $0.lastSuccess.text, String($0.waiting), $0.failure ?? "-"] }
        )
    }
}

struct WebhookRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Tell an address nothing more.",
        discussion: "Example: hawser-provider webhook remove 00112233445566778899aabbccddeeff"
    )

    @Argument(help: "The webhook's id.") var webhook: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(WebhookRemove(webhook: webhook))
        try Output.show(answer, options, "Removed webhook \(webhook).")
    }
}

struct WebhookTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Have the server send an event with the code test.",
        discussion: """
            It goes within some seconds; `webhook list` then says how that went.

            Example: hawser-provider webhook test 00112233445566778899aabbccddeeff
            """
    )

    @Argument(help: "The webhook's id.") var webhook: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(WebhookTest(webhook: webhook))
        try Output.show(answer, options, "An event is on its way; see `webhook list`.")
    }
}
