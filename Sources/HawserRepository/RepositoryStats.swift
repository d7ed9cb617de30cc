public import HawserFormat
import HawserStorage
import HawserTransfer

/// What restoring some snapshots gives.
public struct RestoreSize: Hashable, Sendable {
    public var snapshots = 0
    /// Regular files; several names of one file count once a snapshot.
    public var files: UInt64 = 0
    /// Entries of all kinds, every name counted.
    public var entries: UInt64 = 0
    /// Content of the files.
    public var bytes: UInt64 = 0
}

/// The different chunks that some snapshots need.
public struct RawDataSize: Hashable, Sendable {
    public var chunks: UInt64 = 0
    public var plainBytes: UInt64 = 0
    /// Compressed and sealed.
    public var storedBytes: UInt64 = 0
    /// Pages, lists and chunks that are missing or can't be read, and what is below them, are not counted.
    public var unreadable: UInt64 = 0

    /// How much shorter chunks became; 1 without any.
    public var compressionRatio: Double { storedBytes == 0 ? 1 : Double(plainBytes) / Double(storedBytes) }
}

/// Objects of one kind in the storage.
public struct StoredObjects: Hashable, Sendable {
    public var count = 0
    public var bytes: UInt64 = 0
}

extension Repository {
    /// - Throws: `damaged` or `notFound` when a tree page can't be read.
    public func restoreSize(of snapshots: [Snapshot]) async throws -> RestoreSize {
        var size = RestoreSize()
        for snapshot in snapshots {
            size.snapshots += 1
            var links: Set<UInt64> = []
            for try await entry in entries(of: snapshot.root) {
                size.entries += 1
                guard entry.kind == .file else { continue }
                if let group = entry.linkGroup, !links.insert(group).inserted { continue }
                size.files += 1
                let (sum, overflow) = size.bytes.addingReportingOverflow(entry.size)
                size.bytes = overflow ? .max : sum
            }
        }
        return size
    }

    /// Memory: about 20 bytes for each chunk.
    public func rawDataSize(of snapshots: [Snapshot]) async throws -> RawDataSize {
        struct Digest: Sendable {
            var records: [IndexRecord] = []
            var missing: UInt64 = 0
        }
        let index = index
        let walk = NodeWalk<Digest>(reader: NodeReader(self)) { node, content in
            var digest = Digest()
            guard case .success(let content) = content else { return Digest(missing: 1) }
            for id in [node.key.id] + content.dataChunks.map(\.id) {
                if let record = index.find(id) { digest.records.append(record) } else { digest.missing += 1 }
            }
            return digest
        }
        var size = RawDataSize()
        // Where a chunk lies says which it is, in a quarter of the memory.
        var seen: Set<UInt64> = []
        try await walk.run(snapshots.map { TreeNode(root: $0.root) }) { _, digest, _ in
            size.unreadable += digest.missing
            for record in digest.records
            where seen.insert(UInt64(record.packNumber) << 32 | UInt64(record.blob.offset)).inserted {
                size.chunks += 1
                size.plainBytes += UInt64(record.blob.plainLength)
                size.storedBytes += UInt64(record.blob.storedLength)
            }
        }
        return size
    }

    /// All objects in the storage, by kind. Lists the whole repository.
    public func storedObjects() async throws -> [ObjectKind: StoredObjects] {
        var totals: [ObjectKind: StoredObjects] = [:]
        for kind in ObjectKind.allCases {
            for try await info in target.list(kind) {
                totals[kind, default: StoredObjects()].count += 1
                totals[kind, default: StoredObjects()].bytes += UInt64(max(0, info.length))
            }
        }
        return totals
    }
}
