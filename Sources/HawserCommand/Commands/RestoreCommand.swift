public import ArgumentParser
public import Hawser

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Restore a snapshot, or a part of it, into a folder.",
        discussion: """
            Entries land below the target by their absolute paths; with SNAPSHOT:PATH, by their paths below that folder. What can't \
            be restored is named, the rest is restored, and the exit code is 1.

            Examples:
              hawser restore latest --target /tmp/restored
              hawser restore latest:/home/ada --target /tmp/ada --include '*.txt'
            """
    )

    @Argument(help: "The snapshot: an id, the beginning of one, or latest; with :PATH, a part of it.")
    var snapshot: SnapshotReference

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The folder to restore into.", valueName: "dir"),
        completion: .directory
    )
    var target: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only what matches; can be given several times.", valueName: "pattern")
    )
    var include: [String] = []

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Not what matches; can be given several times.", valueName: "pattern")
    )
    var exclude: [String] = []

    @Option(help: "When existing files are replaced.")
    var overwrite: RestoreOptions.Overwrite = .always

    @Flag(help: "Remove what the snapshot does not have.")
    var delete = false

    @Flag(help: "Make zeros into holes.")
    var sparse = false

    @Flag(name: [.customShort("n"), .long], help: "Write nothing, say what would be.")
    var dryRun = false

    @Flag(help: "Read everything again afterwards and compare it with the snapshot.")
    var verify = false

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if target.isEmpty { throw ValidationError("--target is empty.") }
        // What was left out of the restore would count as not in the snapshot, and be removed.
        if delete, !(include.isEmpty && exclude.isEmpty) {
            throw ValidationError("--delete can't be combined with --include or --exclude.")
        }
    }

    func run() async throws {
        options.output.apply()
        let includes = try Self.patterns(include)
        let excludes = try Self.patterns(exclude)
        try await options.withRepository(.restore) { try await run($0, includes, excludes) }
    }

    private static func patterns(_ texts: [String]) throws -> PathPatternList {
        var patterns = PathPatternList()
        for text in texts { patterns.append(try asUsage { try PathPattern(text.rawBytes) }) }
        return patterns
    }

    private func run(
        _ repository: Repository,
        _ includes: PathPatternList,
        _ excludes: PathPatternList
    ) async throws {
        let found = try await repository.snapshot(named: snapshot.name, filter.filter())
        var request = RestoreRequest(found.snapshot, target: target.rawBytes)
        request.subtree = snapshot.path ?? .root
        request.include = includes
        request.exclude = excludes
        request.options.overwrite = overwrite
        request.options.deletes = delete
        request.options.sparse = sparse
        request.options.dryRun = dryRun
        request.verifies = verify
        request.memory = options.memoryBytes
        Console.shared.note(
            "restoring snapshot \(found.id.hex.prefix(8)) of \(TimeText.local(found.snapshot.time)) to \(displayText(target.rawBytes))"
        )
        let report = RestoreReport()
        let job = repository.restoreJob(request, every: report.interval) { report.problem($0) }
        let summary = try await job.run { report.progress($0) }
        report.summary(summary, request)
        if summary.problemCount > 0 { throw ExitCode.failedQuietly }
    }
}

extension RestoreOptions.Overwrite: ExpressibleByArgument {}
