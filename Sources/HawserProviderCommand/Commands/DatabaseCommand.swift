import ArgumentParser
import Glibc
import HawserControl
import HawserFormat
import HawserProvider

struct DatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database",
        abstract: "Back up and restore the configuration database.",
        subcommands: [DatabaseBackupCommand.self, DatabaseRestoreCommand.self]
    )
}

struct DatabaseBackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the configuration database, in use or not.",
        discussion: """
            The provider key is not in the copy: keep it elsewhere. Without it the copy's secrets are lost.

            Example: hawser-provider database backup /mnt/safe/provider-2026-01-31.sqlite
            """
    )

    @Argument(help: "A file that does not exist.", completion: .file()) var file: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(DatabaseBackup(file: try absolute(file)))
        try Output.show(answer, options, "Backed up to \(file).")
    }

    /// The server has another working folder.
    private func absolute(_ path: String) throws -> String {
        if path.hasPrefix("/") { return path }
        guard let folder = getcwd(nil, 0) else {
            throw HawserError(.fileSystem, "The working folder is gone. Give an absolute path.", place: path)
        }
        defer { free(folder) }
        return String(cString: folder) + "/" + path
    }
}

struct DatabaseRestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a backup in the place of the configuration database, while the server is stopped.",
        discussion: """
            The server starts in recovery then: all sessions are void, tenants can restore, and a tenant's writes open
            once its storage has been listed. Deletions that were asked for before wait for `recovery approve`.

            Example: hawser-provider database restore /mnt/safe/provider-2026-01-31.sqlite
            """
    )

    @Argument(help: "A backup.", completion: .file()) var file: String
    @Flag(help: "Also when a server seems to be running.") var takeOver = false
    @OptionGroup var options: ProviderOptions

    struct Answer: Codable {
        var database: String
    }

    func run() async throws {
        let folder = options.folder
        let database = try await ConfigurationDatabase.restore(
            from: file,
            to: folder.database,
            key: folder.key(),
            takeOver: takeOver
        )
        try await database.close()
        try Output.show(Answer(database: folder.database), options, "Restored \(folder.database): in recovery.")
    }
}
