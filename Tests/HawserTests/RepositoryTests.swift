import Foundation
import Hawser
import HawserTesting
import Synchronization
import Testing

@Suite("The library")
struct RepositoryTests {
    private static let password = Secret("correct horse")
    /// The least that scrypt takes: what it costs to guess is not what is tested here.
    private static let cost = ScryptParameters(cost: 2, blockSize: 8, parallelism: 1)

    private func repository(in store: any ObjectStore = MemoryStore()) async throws -> Repository {
        try await Repository.create(in: store, password: Self.password, cost: Self.cost)
        return try await Repository.open(in: store, password: Self.password)
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hawser-tests-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func notes(seed: UInt64) -> NotesSource {
        var generator = SplitMix64(seed: seed)
        let large = (0..<3_000_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return NotesSource(notes: ["large": large, "small": Array("a few words".utf8), "empty": []])
    }

    @Test("What an own source gives comes back from an own store")
    func roundTrip() async throws {
        let store = MemoryStore()
        let repository = try await repository(in: store)
        let source = notes(seed: 1)
        let summary = try await repository.backup(source)
        #expect(summary.filesProcessed == 3 && summary.problemCount == 0)
        let id = try #require(summary.snapshotID)

        let again = try await Repository.open(in: store, password: Self.password)
        let latest = try await again.snapshot(named: "latest")
        #expect(latest.id == id)
        try await withFolder { folder in
            let restored = try await again.restore(RestoreRequest(latest.snapshot, to: folder))
            #expect(restored.filesRestored == 3 && restored.problemCount == 0)
            for (name, bytes) in source.notes {
                #expect(FileManager.default.contents(atPath: folder + "/notes/" + name) == Data(bytes), "\(name)")
            }
        }
    }

    @Test("Files and folders of the machine go into a folder and back")
    func files() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/data/sub", withIntermediateDirectories: true)
            try Data("one".utf8).write(to: URL(filePath: folder + "/data/sub/one"))
            let place = RepositoryLocation.folder(folder + "/new/repository")
            try await Repository.create(at: place, password: Self.password)
            let repository = try await Repository.open(at: place, password: Self.password, cache: folder + "/cache")
            try await repository.backup(FileTreeSource(paths: [folder + "/data"]))
            let latest = try await repository.snapshot(named: "latest")
            try await repository.restore(RestoreRequest(latest.snapshot, to: folder + "/out"))
            let restored = FileManager.default.contents(atPath: folder + "/out" + folder + "/data/sub/one")
            #expect(restored == Data("one".utf8))
        }
    }

    @Test("Progress is a sequence that ends with the job, and its last value is the end")
    func progress() async throws {
        let repository = try await repository()
        let job = repository.backupJob(notes(seed: 2), every: .milliseconds(1))
        async let summary = job.run()
        var last: BackupProgress?
        for await progress in job.progress {
            #expect(progress.bytesDone >= last?.bytesDone ?? 0)
            last = progress
        }
        let done = try await summary
        #expect(last?.bytesDone == done.bytesProcessed && last?.walkIsDone == true)
    }

    @Test("A closure hears of progress, at the end too")
    func progressClosure() async throws {
        let repository = try await repository()
        let heard = Mutex<[UInt64]>([])
        let summary = try await repository.backup(notes(seed: 3)) { progress in
            heard.withLock { $0.append(progress.bytesDone) }
        }
        #expect(heard.withLock { $0.last } == summary.bytesProcessed)
    }

    @Test("A job that fails ends its progress too")
    func failingJob() async throws {
        let store = MemoryStore()
        let repository = try await repository(in: store)
        let faulty = StreamSource(chunks: FailingChunks())
        let job = repository.backupJob(faulty)
        async let outcome = Result { try await job.run() }
        for await _ in job.progress {}
        let result = await outcome
        #expect(throws: (any Error).self) { try result.get() }
        let snapshots = try await repository.snapshots()
        #expect(snapshots.isEmpty, "half a stream is no snapshot")
    }

    @Test("Cancelling ends a backup that waits, at once, and leaves no snapshot")
    func cancellation() async throws {
        let repository = try await repository()
        let gate = Gate()
        var source = notes(seed: 4)
        source.beforeRead = { try await gate.pass() }
        let job = repository.backupJob(source)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: (any Error).self) { try await job.run() }
            }
            group.addTask { for await _ in job.progress {} }
            try await gate.waitForArrivals(1)
            // The gate stays shut: without cancellation this would not end.
            group.cancelAll()
        }
        #expect(try await repository.snapshots().isEmpty)
        try await repository.backup(notes(seed: 4))
    }

    @Test(
        "A location that this version does not have is told by name",
        arguments: ["azure:x", "sftp:y"]
    )
    func unsupported(location: String) throws {
        let error = #expect(throws: HawserError.self) { try RepositoryLocation(parsing: location) }
        #expect(error?.code == .invalidArgument && error?.place == location)
    }

    @Test("More connections to S3 storage are used by as many uploads and fetches")
    func connections() throws {
        var settings = S3Settings()
        #expect(try RepositoryLocation(parsing: "s3:https://host/bucket", s3: settings).access == .remote)
        settings.connections = 40
        let access = try RepositoryLocation(parsing: "s3:https://host/bucket", s3: settings).access
        #expect(access.parallelUploads == 40 && access.parallelFetches == 40 && access.keepsObjects)
    }

    @Test("No folder, no repository in it, and a wrong password are three errors")
    func opening() async throws {
        try await withFolder { folder in
            for place in [folder, folder + "/missing"] {
                let error = await #expect(throws: HawserError.self) {
                    try await Repository.open(at: .folder(place), password: Self.password)
                }
                #expect(error?.code == .noRepository)
            }
        }
        let store = MemoryStore()
        _ = try await repository(in: store)
        let error = await #expect(throws: HawserError.self) {
            try await Repository.open(in: store, password: Secret("wrong"))
        }
        #expect(error?.code == .wrongPassword)
    }
}

private struct FailingChunks: AsyncSequence, Sendable {
    struct Broken: Error {}

    struct AsyncIterator: AsyncIteratorProtocol {
        var isFirst = true

        mutating func next() async throws -> [UInt8]? {
            guard isFirst else { throw Broken() }
            isFirst = false
            return [1, 2, 3]
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
