import Foundation
import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

/// An empty folder for the time of `body`.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/hawser-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

extension ScryptParameters {
    /// Takes no time.
    static let test = ScryptParameters(cost: 2, blockSize: 8, parallelism: 1)
}

extension KeySlot.Metadata {
    static func test(_ label: String = "test") -> KeySlot.Metadata {
        KeySlot.Metadata(
            created: Timestamp(seconds: 1_800_000_000),
            username: Array("user".utf8),
            hostname: Array("host".utf8),
            label: Array(label.utf8)
        )
    }
}

extension Secret {
    init(text: String) {
        self.init(Array(text.utf8))
    }

    static let test = Secret(text: "password")
}

/// A repository in memory, with a cache in a temporary folder.
struct TestRepository: Sendable {
    let memory: MemoryStore
    let store: FaultyStore
    let target: TargetDataMover
    let cacheRoot: String

    static func with<Result>(_ body: (TestRepository) async throws -> Result) async throws -> Result {
        try await withTemporaryFolder { folder in
            let memory = MemoryStore()
            let store = FaultyStore(memory)
            let fixture = TestRepository(
                memory: memory,
                store: store,
                target: TargetDataMover(store: store),
                cacheRoot: folder + "/cache"
            )
            try await Repository.create(at: fixture.target, password: .test, slot: .test(), cost: .test)
            return try await body(fixture)
        }
    }

    func open(_ password: Secret = .test, cache: Bool = true) async throws -> Repository {
        try await Repository.open(at: target, password: password, cacheRoot: cache ? cacheRoot : nil)
    }

    /// Backs up with a newly opened repository.
    @discardableResult
    func backUp(_ files: [TestFile], at seconds: Int64 = 1_800_000_000) async throws -> ObjectName {
        try await TestSession(open()).backUp(files, at: seconds)
    }

    func keys(_ prefix: String) async throws -> [ObjectKey] {
        try await target.list(prefix: prefix).reduce(into: []) { $0.append($1.key) }
    }

    func keys(_ kind: ObjectKind) async throws -> [ObjectKey] { try await keys(kind.prefix) }

    func flipBit(of key: ObjectKey, at bit: Int? = nil) async throws {
        let bytes = try await memory.get(key, range: nil)
        memory.replace(key, with: Corpus.flipping(bit: bit ?? bytes.count * 4, of: bytes))
    }

    func check(_ data: CheckData = .none) async throws -> CheckSummary {
        try await RepositoryCheck(open(), data: data).run()
    }
}

/// A file of the tests: its content is cut every 256 KiB.
struct TestFile: Sendable {
    var path: String
    var bytes: [UInt8]

    init(_ path: String, _ bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    /// Content that no compressor shrinks and no other seed has.
    init(_ path: String, count: Int, seed: UInt64) {
        self.init(path, Corpus.incompressible(count, seed: seed))
    }

    static let chunkLength = 256 << 10
}

/// One backup's writing, without the pipeline.
struct TestSession {
    let repository: Repository
    let writer: RepositoryWriter
    let chunkLength: Int

    init(_ repository: Repository, chunkLength: Int = TestFile.chunkLength) throws {
        self.repository = repository
        self.chunkLength = chunkLength
        writer = try RepositoryWriter(repository, compression: .auto, memory: 32 << 20)
    }

    func backUp(
        _ files: [TestFile],
        at seconds: Int64 = 1_800_000_000,
        base: Refs.Base? = nil,
        host: String = "host"
    ) async throws -> ObjectName {
        let root = try await store(files)
        var snapshot = snapshot(root, at: seconds)
        snapshot.hostname = Array(host.utf8)
        let id = try await writer.commit(snapshot, refsBase: { base })
        try await writer.close()
        return id
    }

    /// Everything but the commit.
    func store(_ files: [TestFile]) async throws -> TreeRoot {
        let writer = writer
        // All in child tasks, so that the failure of one ends the others.
        return try await withThrowingTaskGroup(of: TreeRoot?.self) { group in
            group.addTask {
                try await writer.runUploads()
                return nil
            }
            group.addTask {
                let root = try await append(files)
                try await writer.flush()
                await writer.finishUploads()
                return root
            }
            var root: TreeRoot?
            for try await result in group { root = result ?? root }
            return try #require(root)
        }
    }

    func snapshot(_ root: TreeRoot, at seconds: Int64 = 1_800_000_000) -> Snapshot {
        let time = Timestamp(seconds: seconds)
        return Snapshot(
            time: time,
            hostname: Array("host".utf8),
            username: Array("user".utf8),
            paths: [Array("/data".utf8)],
            tree: root.id,
            treeHeight: root.height,
            programVersion: "test",
            summary: Snapshot.Summary(started: time, ended: time)
        )
    }

    private func append(_ files: [TestFile]) async throws -> TreeRoot {
        let ids = repository.ids
        var tree = TreeBuilder(treeKey: repository.config.secrets.tree.bytes, id: ids.id(of:type:))
        let entries = try await files.asyncMap { file in
            let path = try #require(EntryPath(Array(file.path.utf8)))
            var entry = Entry(path: path, kind: .file)
            entry.size = UInt64(file.bytes.count)
            var list = ContentListBuilder(id: ids.id(of:type:))
            for start in stride(from: 0, to: file.bytes.count, by: chunkLength) {
                let chunk = file.bytes[start..<min(start + chunkLength, file.bytes.count)]
                let id = try await append(chunk)
                for blob in try list.append(.data(id, length: chunk.count)) { try await writer.store(blob) }
            }
            let (blobs, content) = list.finish()
            for blob in blobs { try await writer.store(blob) }
            entry.content = content
            return entry
        }
        for entry in entries.sorted(by: { $0.path < $1.path }) {
            for blob in try tree.append(entry) { try await writer.store(blob) }
        }
        let (blobs, root) = tree.finish()
        for blob in blobs { try await writer.store(blob) }
        return root
    }

    private func append(_ chunk: ArraySlice<UInt8>) async throws -> ChunkID {
        let id = chunk.withUnsafeBytes { repository.ids.id(of: $0, type: .data) }
        guard writer.claim(id) else { return id }
        var packed: [UInt8] = []
        var sealed: [UInt8] = []
        chunk.withUnsafeBytes { Compressor(method: .auto).compress($0, into: &packed) }
        try packed.withUnsafeBytes {
            try repository.blobs.seal($0, id: id, type: .data, plainLength: chunk.count, into: &sealed)
        }
        let blob = SealedBlob(id: id, type: .data, plainLength: chunk.count, range: sealed.indices)
        try await writer.append([blob], in: sealed)
        return id
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { try await results.append(transform(element)) }
        return results
    }
}

extension Repository {
    /// The content of a file of a snapshot, every chunk proven.
    func content(of path: String, in snapshot: ObjectName) async throws -> [UInt8] {
        let root = try await self.snapshot(snapshot).root
        let path = try #require(EntryPath(Array(path.utf8)))
        let entry = try #require(await entry(at: path, of: root))
        if case .inline(let bytes) = entry.content { return bytes }
        let reader = BlobReader(self)
        var bytes: [UInt8] = []
        try await forEachExtent(of: entry.content, reader: reader) { extent in
            if case .data(let id, _) = extent { bytes += try await reader.read(id, type: .data) }
        }
        return bytes
    }

    func expect(_ files: [TestFile], in snapshot: ObjectName) async throws {
        for file in files {
            let isEqual = try await content(of: file.path, in: snapshot) == file.bytes
            #expect(isEqual, "\(file.path)")
        }
    }
}

func expectCode<Value>(
    _ code: HawserError.Code,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Value
) async {
    do {
        _ = try await body()
        Issue.record("no error instead of \(code)", sourceLocation: sourceLocation)
    } catch let error as HawserError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error) instead of \(code)", sourceLocation: sourceLocation)
    }
}
