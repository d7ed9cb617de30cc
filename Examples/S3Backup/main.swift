// Backs up a folder into a new repository in S3 storage, and restores it again. The bucket must be there:
//
//     AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
//         swift run S3Backup ~/Documents s3:https://s3.example.com/bucket/folder /tmp/restored
import Hawser

tuneProcess()
let (folder, place, target) = (CommandLine.arguments[1], CommandLine.arguments[2], CommandLine.arguments[3])
let location = RepositoryLocation.s3(try S3URL(parsing: place))
let password = Secret("correct horse battery staple")

// Finds out what the storage can do, and writes it into the repository.
try await Repository.create(at: location, password: password)
let repository = try await Repository.open(at: location, password: password)
let summary = try await repository.backup(FileTreeSource(paths: [folder]))
print("\(summary.filesProcessed) files saved, \(summary.dataAddedPacked) bytes stored")

let latest = try await repository.snapshot(named: "latest")
let restored = try await repository.restore(RestoreRequest(latest.snapshot, to: target))
print("\(restored.filesRestored) files restored below \(target)")
