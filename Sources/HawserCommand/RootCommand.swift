import ArgumentParser
import Hawser

struct RootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hawser",
        abstract: "Back up files, streams and disk images: deduplicated, compressed and encrypted.",
        discussion: """
            A first day:

              export HAWSER_REPOSITORY=/mnt/disk/backup
              export HAWSER_PASSWORD_FILE=/etc/hawser/password
              hawser init
              hawser backup /home /etc --exclude-caches
              hawser snapshots
              hawser restore latest --target /tmp/restored
            """,
        version: HawserVersion.text,
        subcommands: [
            InitCommand.self, BackupCommand.self, RestoreCommand.self, SnapshotsCommand.self, LsCommand.self,
            FindCommand.self, DiffCommand.self, DumpCommand.self, StatsCommand.self, CheckCommand.self,
            ForgetCommand.self, PruneCommand.self, RepairCommand.self, KeyCommand.self, TagCommand.self,
            CacheCommand.self, StorageCommand.self, UnlockCommand.self, LoginCommand.self, LogoutCommand.self,
            QuotaCommand.self, SessionsCommand.self, CredentialsCommand.self, VersionCommand.self,
        ]
    )
}
