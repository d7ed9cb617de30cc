// A service that backs up on a schedule and stops on SIGTERM or Ctrl-C:
//
//     HAWSER_PASSWORD=… swift run EmbeddedAgent /mnt/disk/backup 3600 /home /etc
import Glibc
import Hawser
import Logging
import ServiceLifecycle
import UnixSignals

@main
enum EmbeddedAgent {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 3, let seconds = Int(arguments[2]), seconds > 0,
            let password = getenv("HAWSER_PASSWORD").map({ String(cString: $0) })
        else {
            print("usage: HAWSER_PASSWORD=… EmbeddedAgent REPOSITORY SECONDS FOLDER…")
            exit(64)
        }
        tuneProcess()
        let logger = Logger(label: "backup")
        let repository = try await Repository.open(at: .folder(arguments[1]), password: Secret(password))
        let backups = BackupService(
            repository: repository,
            folders: Array(arguments.dropFirst(2)),
            pause: .seconds(seconds),
            logger: logger
        )
        // Your other services stand beside it.
        let services = ServiceGroup(
            services: [backups],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        try await services.run()
    }
}
