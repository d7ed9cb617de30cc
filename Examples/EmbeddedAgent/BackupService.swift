import Hawser
import Logging
import ServiceLifecycle

/// Backs up some folders, waits, and does it again.
struct BackupService: Service {
    let repository: Repository
    let folders: [String]
    let pause: Duration
    let logger: Logger

    func run() async throws {
        // Shutting down cancels a running backup: it ends within a second, and the next one goes on where it was.
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await backUp()
                try? await Task.sleep(for: pause)
            }
        }
        logger.info("backups have stopped")
    }

    private func backUp() async {
        do {
            let summary = try await repository.backup(FileTreeSource(paths: folders))
            logger.info(
                "backed up",
                metadata: [
                    "snapshot": "\(summary.snapshotID?.hex ?? "-")", "files": "\(summary.filesProcessed)",
                    "stored": "\(summary.dataAddedPacked)", "unreadable": "\(summary.problemCount)",
                ]
            )
        } catch is CancellationError {
            logger.info("the backup was interrupted")
        } catch {
            // The next one may succeed: a service does not end because a disk was away.
            logger.error("the backup failed", metadata: ["error": "\(displayText("\(error)".utf8))"])
        }
    }
}
