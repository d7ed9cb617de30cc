public import HawserFormat
import HawserStorage
import HawserTransfer

/// What one list shows of a repository's configuration, of packs that are marked for deletion, and of interrupted
/// backups.
struct RepositoryOverview: Sendable {
    var newestConfig: ObjectKey?
    var condemned: [ObjectKey] = []
    var checkpoints: [ObjectKey] = []

    /// What `checkpoints/`, `condemned/` and `config/` begin with, and no other kind: one request instead of three.
    private static let prefix = "c"

    static func load(from target: any DataMoverTarget) async throws -> RepositoryOverview {
        var overview = RepositoryOverview()
        for try await info in target.list(prefix: prefix) {
            switch info.key.kind {
            case .config:
                let newest = overview.newestConfig?.generation ?? 0
                if (info.key.generation ?? 0) > newest { overview.newestConfig = info.key }
            case .condemned: overview.condemned.append(info.key)
            case .checkpoint: overview.checkpoints.append(info.key)
            default: continue
            }
        }
        return overview
    }
}

/// What a session has to know before it looks up its first chunk.
public struct SessionStart: Sendable {
    /// Packs that are marked for deletion.
    public let condemned: Set<ObjectName>
    let checkpoints: [ObjectKey]
}

extension Repository {
    /// To be asked for when a session begins (docs/format.md, Garbage collection).
    public func sessionStart() async throws -> SessionStart {
        let overview = try await RepositoryOverview.load(from: target)
        return SessionStart(
            condemned: try await packs(condemnedBy: overview.condemned),
            checkpoints: overview.checkpoints
        )
    }

    /// All packs that are marked for deletion now.
    public func condemnedPacks() async throws -> Set<ObjectName> {
        var keys: [ObjectKey] = []
        for try await info in target.list(.condemned) { keys.append(info.key) }
        return try await packs(condemnedBy: keys)
    }

    func packs(condemnedBy keys: [ObjectKey]) async throws -> Set<ObjectName> {
        var packs: Set<ObjectName> = []
        try await withBoundedTasks(over: keys, width: Parallelism.requests) { key -> Condemned? in
            do {
                return try Condemned(decoding: await fetchKept(key))
            } catch let error as HawserError where error.code == .notFound {
                // Its packs are deleted and forgotten since the listing.
                return nil
            } catch var error as HawserError {
                error.place = key.path
                throw error
            }
        } take: { object in
            if let object { packs.formUnion(object.packs.map(\.name)) }
        }
        await forgetKept(.condemned, except: Set(keys.compactMap(\.name)))
        return packs
    }

    /// The newest checkpoint of an interrupted backup of the same host, paths and excludes.
    ///
    /// - Parameter date: when the parent's run began. A checkpoint of that run or of one before it knows nothing that
    ///   the parent does not know better.
    public func checkpoint(
        of start: SessionStart,
        hostname: [UInt8],
        paths: [[UInt8]],
        excludes: [[UInt8]],
        startedAfter date: Timestamp?
    ) async throws -> Checkpoint? {
        var newest: Checkpoint?
        try await withBoundedTasks(over: start.checkpoints, width: Parallelism.requests) { key -> Checkpoint? in
            // One that can't be read only costs reading again.
            guard let bytes = try? await fetchKept(key) else { return nil }
            return try? Checkpoint(decoding: bytes, sealer: objects)
        } take: { checkpoint in
            if let checkpoint, checkpoint.hostname == hostname, checkpoint.paths == paths,
                checkpoint.excludes == excludes, date.map({ checkpoint.started > $0 }) ?? true,
                newest.map({ checkpoint.time > $0.time }) ?? true
            {
                newest = checkpoint
            }
        }
        await forgetKept(.checkpoint, except: Set(start.checkpoints.compactMap(\.name)))
        return newest
    }
}
