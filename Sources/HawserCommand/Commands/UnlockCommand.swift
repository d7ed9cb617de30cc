import ArgumentParser
import Hawser

struct UnlockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock",
        abstract: "Does nothing: no command locks a repository.",
        discussion: "Commands can run side by side, and one that was killed leaves nothing that could be in the way."
    )

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        Console.shared.note("No command locks a repository: nothing had to be done.")
    }
}
