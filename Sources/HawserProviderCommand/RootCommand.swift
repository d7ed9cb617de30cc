import ArgumentParser
import HawserFormat

struct RootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hawser-provider",
        abstract: "Run a service provider's backup server.",
        discussion: """
            A first day:

              hawser-provider init --domain backup.example.org
              hawser-provider serve
              hawser-provider gateway add g1 --kind relay --address gateway.example.org:6180
              hawser-provider storage add main --kind compatible --endpoint https://s3.example:9000 \\
                  --bucket backups --access-key AKEXAMPLE --secret-file /etc/hawser/s3-secret
              hawser-provider tenant add acme
              hawser-provider quota set acme main 500G
              hawser-provider tenant join-code acme

            Commands speak to the running server, or work on its database while it is stopped.
            """,
        version: HawserVersion.text,
        subcommands: [
            InitCommand.self, ServeCommand.self, AuthorityCommand.self, TenantCommand.self, SubtenantCommand.self,
            DeviceCommand.self, StorageCommand.self,
            RepositoryCommand.self, QuotaCommand.self, SessionCommand.self, GatewayCommand.self, DeletionCommand.self,
            ReportCommand.self, AuditCommand.self, DatabaseCommand.self, KeyCommand.self, RecoveryCommand.self,
            MaintenanceCommand.self, SettingsCommand.self, AlarmCommand.self, WebhookCommand.self,
        ]
    )
}
