public import ArgumentParser
public import Hawser

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verify that the repository holds all that its snapshots need.",
        discussion: """
            Everything is read from the storage, whatever the cache says. What is damaged is named, and what it hurts.

            Examples:
              hawser check --read-data
              hawser check --read-data-subset 1/7
            """
    )

    @Flag(help: "Read every byte.")
    var readData = false

    @Option(help: ArgumentHelp("Read a part of the packs: 1/7, 2.5% or 500M.", valueName: "subset"))
    var readDataSubset: CheckSubset?

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if readData, readDataSubset != nil {
            throw ValidationError("--read-data and --read-data-subset contradict each other.")
        }
    }

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.check) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        let data: CheckData = readData ? .all : readDataSubset.map { .subset($0) } ?? .none
        let report = CheckReport()
        // The other half is for what is being opened, and for the trees.
        let check = RepositoryCheck(repository, data: data, memory: options.memoryBytes / 2)
        let summary = try await check.run { report.event($0) }
        report.summary(summary, readsData: readData || readDataSubset != nil)
        if summary.errorCount > 0 { throw ExitCode.failedQuietly }
    }
}

extension CheckSubset: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
