// Backs up a folder into a new repository, and restores it again:
//
//     swift run LocalBackup ~/Documents /tmp/repository /tmp/restored
import Glibc
import Hawser

guard CommandLine.arguments.count == 4 else {
    print("usage: LocalBackup FOLDER REPOSITORY TARGET")
    exit(64)
}
tuneProcess()
let (folder, place, target) = (CommandLine.arguments[1], CommandLine.arguments[2], CommandLine.arguments[3])
let password = Secret("correct horse battery staple")

try await Repository.create(at: .folder(place), password: password)
let repository = try await Repository.open(at: .folder(place), password: password)
let summary = try await repository.backup(FileTreeSource(paths: [folder])) { progress in
    print("\(progress.filesDone) files, \(progress.bytesDone) of \(progress.bytesFound) bytes")
}
print("\(summary.filesProcessed) files saved, \(summary.dataAddedPacked) bytes stored")

let latest = try await repository.snapshot(named: "latest")
let restored = try await repository.restore(RestoreRequest(latest.snapshot, to: target))
print("\(restored.filesRestored) files restored below \(target)")
