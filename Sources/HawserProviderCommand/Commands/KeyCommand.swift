import ArgumentParser
import HawserControl
import HawserProvider

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Manage the provider key, under which secrets are sealed.",
        subcommands: [KeyRotateCommand.self]
    )
}

struct KeyRotateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Seal all secrets under a new provider key.",
        discussion: """
            The new key takes the place of the old one in its file. Keep the old one as long as backups of the database
            from before are kept.

            Example: hawser-provider key rotate
            """
    )

    @Option(
        help: ArgumentHelp(
            "Use the key in this file, which the key command must print from then on.",
            valueName: "file"
        ),
        completion: .file()
    )
    var newKeyFile: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(KeyRotate(newKeyFile: newKeyFile))
        try Output.show(answer, options, "All secrets are sealed under the new key. Keep a copy of it.")
    }
}
