import ArgumentParser
import Hawser

struct DumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Write a file, or a folder as a tar archive, to standard output.",
        discussion: """
            The archive keeps holes as GNU tar does (its sparse format 1.0). Messages go to the standard error, with --json too.

            Examples:
              hawser dump latest /all.sql | psql
              hawser dump latest /home/ada | tar -t
              hawser dump latest:/home/ada notes.txt
            """
    )

    @Argument(help: "The snapshot: an id, the beginning of one, or latest; with :PATH, a part of it.")
    var snapshot: SnapshotReference

    @Argument(help: "The file or folder in the snapshot, or in its part; / is all of it. Can be left out after :PATH.")
    var path: String?

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if path == nil, snapshot.path == nil {
            throw ValidationError("Say which file or folder: SNAPSHOT PATH, or SNAPSHOT:PATH.")
        }
    }

    func run() async throws {
        options.output.apply()
        Console.shared.giveOutputAway()
        let path = try EntryPath(argument: path ?? "/").components.reduce(snapshot.path ?? .root) { $0.appending($1) }
        if Console.shared.isTerminal {
            throw ValidationError("Standard output is a terminal: send it into a file or another program.")
        }
        try await options.withRepository(.restore) { try await run($0, path) }
    }

    private func run(_ repository: Repository, _ path: EntryPath) async throws {
        let found = try await repository.snapshot(named: snapshot.name, filter.filter())
        let output = OutputFile.standard
        let dump = Dump(repository: repository, output: output)
        // Writing blocks for as long as the reader does not read.
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try await dump.run(found.snapshot, path)
        }
    }
}
