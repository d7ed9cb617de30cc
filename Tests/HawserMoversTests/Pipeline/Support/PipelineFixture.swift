import Foundation
import HawserFormat
import HawserRepository
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserMovers

/// A repository in memory with a store that fails as told, and a cache in a temporary folder.
struct PipelineFixture: Sendable {
    let memory: MemoryStore
    let store: FaultyStore
    let target: TargetDataMover
    let folder: String

    static func with<Result>(_ body: (PipelineFixture) async throws -> Result) async throws -> Result {
        let folder = FileManager.default.temporaryDirectory.path + "/hawser-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let memory = MemoryStore()
        let store = FaultyStore(memory)
        let fixture = PipelineFixture(
            memory: memory,
            store: store,
            target: TargetDataMover(store: store),
            folder: folder
        )
        try await Repository.create(
            at: TargetDataMover(store: memory),
            password: password,
            slot: KeySlot.Metadata(
                created: Timestamp(seconds: 1_800_000_000),
                username: Array("user".utf8),
                hostname: Array("host".utf8),
                label: []
            ),
            cost: ScryptParameters(cost: 2, blockSize: 8, parallelism: 1)
        )
        return try await body(fixture)
    }

    private static let password = Secret(Array("password".utf8))

    func open(cache: String? = "cache") async throws -> Repository {
        try await Repository.open(at: target, password: Self.password, cacheRoot: cache.map { folder + "/" + $0 })
    }

    func open(through target: any DataMoverTarget) async throws -> Repository {
        try await Repository.open(at: target, password: Self.password, cacheRoot: folder + "/cache")
    }

    /// As another machine sees it: not through faults, and without this machine's cache.
    func openElsewhere() async throws -> Repository {
        try await Repository.open(at: TargetDataMover(store: memory), password: Self.password, cacheRoot: nil)
    }

    func mover(
        _ repository: Repository,
        report: @escaping @Sendable (Problem) -> Void = { _ in },
        _ change: (inout BackupOptions) -> Void = { _ in }
    ) -> SourceDataMover {
        var options = BackupOptions(hostname: Array("host".utf8), username: Array("user".utf8))
        options.memory = 96 << 20
        options.compression = .lz4
        change(&options)
        return SourceDataMover(repository, options: options, report: report)
    }

    /// Backs up, and proves that all buffers came back.
    @discardableResult
    func backUp(
        _ source: some BackupSource,
        in repository: Repository? = nil,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout BackupOptions) -> Void = { _ in }
    ) async throws -> BackupSummary {
        let mover: SourceDataMover
        if let repository {
            mover = self.mover(repository, change)
        } else {
            mover = self.mover(try await open(), change)
        }
        let result = await Result { try await mover.backup(source) }
        if let pool = await mover.pool {
            #expect(pool.budget.used == 0, "buffers came back", sourceLocation: sourceLocation)
            #expect(pool.allocated <= pool.budget.total, "buffers stay in bounds", sourceLocation: sourceLocation)
        }
        return try result.get()
    }

    func keys(_ kind: ObjectKind) async throws -> [ObjectKey] {
        try await TargetDataMover(store: memory).list(kind).reduce(into: []) { $0.append($1.key) }
    }

    func condemn(_ keys: [ObjectKey]) async throws {
        var packs: [PackReference] = []
        for key in keys {
            guard let name = key.name, let info = try await memory.head(key) else { continue }
            packs.append(PackReference(name: name, length: UInt32(info.length), isMetadata: key.kind == .metadataPack))
        }
        let bytes = try Condemned(packs: packs, fence: 0, created: Timestamp(seconds: 1_800_000_000)).encode()
        let name = ObjectName(hashOf: bytes)
        _ = try await memory.put(.named(.condemned, name), bytes, sha256: name)
    }

    /// Proves with no more than what is in the storage that the snapshot has exactly the source's entries and bytes.
    func expect(
        _ nodes: [GeneratedNode],
        in summary: BackupSummary,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let repository = try await openElsewhere()
        let snapshot = try await repository.snapshot(#require(summary.snapshotID, sourceLocation: sourceLocation))
        var expected = nodes[...]
        let reader = BlobReader(repository)
        for try await entry in repository.entries(of: snapshot.root) {
            guard let node = expected.popFirst() else {
                Issue.record("\(entry.path) is one too many", sourceLocation: sourceLocation)
                return
            }
            #expect(entry.path == node.entry.path, sourceLocation: sourceLocation)
            let wanted = node.atOpen?.entry ?? node.entry
            #expect(entry.kind == wanted.kind && entry.mode == wanted.mode, sourceLocation: sourceLocation)
            #expect(
                entry.modified == wanted.modified && entry.changed == wanted.changed && entry.inode == wanted.inode,
                "\(entry.path)",
                sourceLocation: sourceLocation
            )
            if entry.kind == .file {
                let isSame = try await isSame(entry, node.atOpen?.content ?? node.content, repository, reader)
                #expect(isSame, "\(entry.path)", sourceLocation: sourceLocation)
            }
        }
        #expect(expected.isEmpty, "\(expected.first?.entry.path.description ?? "")", sourceLocation: sourceLocation)
    }

    private func isSame(
        _ entry: Entry,
        _ content: [Stretch],
        _ repository: Repository,
        _ reader: BlobReader
    ) async throws -> Bool {
        guard entry.size == content.length else { return false }
        if case .inline(let bytes) = entry.content { return bytes == content.bytes(at: 0, count: bytes.count) }
        var offset: UInt64 = 0
        var isSame = true
        try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
            switch extent {
            case .data(let id, let length):
                let bytes = content.bytes(at: offset, count: length)
                isSame = isSame && bytes.withUnsafeBytes { repository.ids.id(of: $0, type: .data) } == id
                if try await reader.read(id, type: .data) != bytes { isSame = false }
            case .zero(let length):
                isSame = isSame && content.isZero(offset..<offset + UInt64(length))
            case .hole(let length):
                isSame =
                    isSame && content.nextData(from: offset).map { $0.lowerBound >= offset + UInt64(length) } ?? true
            }
            offset += UInt64(extent.length)
        }
        return isSame && offset == entry.size
    }
}

extension [Stretch] {
    func isZero(_ range: Range<UInt64>) -> Bool {
        var start: UInt64 = 0
        return allSatisfy { stretch in
            defer { start += stretch.length }
            if !range.overlaps(start..<start + stretch.length) { return true }
            switch stretch {
            case .zeros, .hole: return true
            case .noise, .dull: return false
            }
        }
    }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
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
