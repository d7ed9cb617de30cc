import ArgumentParser
import Hawser

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Back up files, folders, a stream or a disk image.",
        discussion: """
            Files that did not change since the parent snapshot are not read. What can't be read, or changes while it is read, is \
            named, the rest is backed up, and the exit code is 3.

            Examples:
              hawser backup /home /etc --exclude '*.tmp' --exclude-caches --one-file-system
              pg_dumpall | hawser backup --stdin --stdin-filename all.sql
              hawser backup --stdin-from-command --stdin-filename all.sql -- pg_dumpall
              hawser backup --image /dev/vg/snapshot
            """
    )

    @Argument(help: "What to back up; after --stdin-from-command, the command.", completion: .file())
    var paths: [String] = []

    @OptionGroup(title: "What is backed up") var selection: SourceOptions
    @OptionGroup(title: "How") var settings: BackupSettings
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        try selection.validate(paths: paths)
    }

    func run() async throws {
        options.output.apply()
        // A path that is missing shows at once, before any password.
        let (source, excludes) = try selection.source(paths: paths)
        try await options.withOpening(.backup) { open in
            try await withWalkAhead(of: source) { try await run(open(), $0, excludes) }
        }
    }

    private func run(
        _ repository: Repository,
        _ source: any BackupSource,
        _ excludes: [String]
    ) async throws {
        var backup = try await settings.options(repository)
        backup.excludes = excludes
        backup.memory = options.memoryBytes
        let report = BackupReport()
        let job = repository.backupJob(source, options: backup, every: report.interval) { report.problem($0) }
        let start = Timestamp.now
        let summary = try await job.run { report.progress($0) }
        report.summary(summary, options: backup, start: start)
        if summary.problemCount > 0 { throw ExitCode.incompleteQuietly }
    }
}
