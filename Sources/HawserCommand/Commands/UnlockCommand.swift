import ArgumentParser
import Hawser

struct UnlockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock",
        abstract: "Does nothing: repositories have no locks.",
        discussion: "Commands can run side by side, and one that was killed leaves nothing that could be in the way."
    )

    @OptionGroup var output: OutputOptions

    func run() async throws {
        output.apply()
        Console.shared.note("There are no locks: nothing had to be done.")
    }
}
