// Backs up what is piped in, as one file of a snapshot:
//
//     pg_dumpall | HAWSER_PASSWORD=… swift run StreamBackup /mnt/disk/backup all.sql
import Glibc
import Hawser

guard CommandLine.arguments.count == 3, let password = getenv("HAWSER_PASSWORD").map({ String(cString: $0) }),
    let path = EntryPath(CommandLine.arguments[2].utf8)
else {
    print("usage: HAWSER_PASSWORD=… StreamBackup REPOSITORY NAME <STREAM")
    exit(64)
}
tuneProcess()
let repository = try await Repository.open(at: .folder(CommandLine.arguments[1]), password: Secret(password))
var options = BackupOptions()
options.tags = ["dump"]

// A sequence of byte arrays will do as well: StreamSource(chunks: …).
let job = repository.backupJob(StreamSource(descriptor: STDIN_FILENO, path: path), options: options)
async let summary = job.run()
for await progress in job.progress { print("\(progress.bytesRead) bytes") }
print("snapshot \(try await summary.snapshotID?.hex ?? "-"), \(try await summary.dataAddedPacked) bytes stored")
