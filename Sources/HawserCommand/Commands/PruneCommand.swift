import ArgumentParser
import Hawser

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Free the space that no snapshot needs any more.",
        discussion: """
            In two steps, so that backups, restores and checks of other machines can go on: what has been of no use for seven days \
            is marked, and what was marked 24 hours ago or earlier is deleted. Run it every day, or after «hawser forget», and \
            once more a day later. It can be interrupted at any time.

            Example: hawser prune --max-unused 10%
            """
    )

    @OptionGroup var settings: PruneSettings

    @Flag(name: [.customShort("n"), .long], help: "Change nothing, say what comes back and what it costs.")
    var dryRun = false

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.prune) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        try await PruneRun(settings: settings, options: options, dryRun: dryRun).run(repository)
    }
}

struct PruneSettings: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How much of the stored data may be of no use, so that fewer packs are written again: 5%, 500M or unlimited.",
            valueName: "limit"
        )
    )
    var maxUnused: MaxUnused = .init(limit: .share(0.05))

    @Flag(
        help: """
            Delete at once. Only when nothing else uses the repository now: a backup that runs meanwhile has to store again \
            what it relied on, or fails; a restore or check that runs meanwhile can fail.
            """
    )
    var noGrace = false
}

struct MaxUnused: ExpressibleByArgument {
    var limit: PruneOptions.MaxUnused

    init(limit: PruneOptions.MaxUnused) {
        self.limit = limit
    }

    init?(argument: String) {
        if argument == "unlimited" {
            limit = .unlimited
        } else if argument.hasSuffix("%") {
            guard let share = Double(argument.dropLast()), (0...100).contains(share) else { return nil }
            limit = .share(share / 100)
        } else {
            guard let bytes = ByteSize.bytes(argument), bytes >= 0 else { return nil }
            limit = .bytes(UInt64(bytes))
        }
    }

    var defaultValueDescription: String { "5%" }
}

/// One prune, with what it says.
struct PruneRun {
    var settings: PruneSettings
    var options: RepositoryOptions
    var dryRun: Bool

    func run(_ repository: Repository) async throws {
        var prune = PruneOptions()
        prune.maxUnused = settings.maxUnused.limit
        if settings.noGrace { prune.grace = .none }
        prune.dryRun = dryRun
        prune.memory = options.memoryBytes
        let report = PruneReport()
        let pruner = Pruner(
            repository,
            options: prune,
            now: { repository.storageTime ?? .now },
            report: { report.progress($0) }
        )
        let summary = try await pruner.run()
        report.summary(summary, dryRun: dryRun)
        if summary.isDamaged { throw ExitCode.failedQuietly }
    }
}
