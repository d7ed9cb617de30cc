public import HawserFormat
import HawserStorage
import HawserTransfer

/// A snapshot and what it is called.
public struct StoredSnapshot: Sendable {
    public var id: ObjectName
    public var snapshot: Snapshot

    public init(id: ObjectName, snapshot: Snapshot) {
        self.id = id
        self.snapshot = snapshot
    }
}

/// Which snapshots are meant; empty conditions let all pass.
public struct SnapshotFilter: Sendable {
    public var hosts: [[UInt8]] = []
    /// A snapshot needs all tags of one of these lists.
    public var tags: [[[UInt8]]] = []
    /// A snapshot needs all of these paths.
    public var paths: [[UInt8]] = []

    public init() {}

    public func matches(_ snapshot: Snapshot) -> Bool {
        (hosts.isEmpty || hosts.contains(snapshot.hostname))
            && (tags.isEmpty || tags.contains { $0.allSatisfy(snapshot.tags.contains) })
            && paths.allSatisfy(snapshot.paths.contains)
    }
}

extension Repository {
    /// All snapshots that match, the oldest first.
    ///
    /// - Parameter unreadable: called for a snapshot that can't be read; without it such a snapshot throws.
    public func snapshots(
        _ filter: SnapshotFilter = SnapshotFilter(),
        unreadable: ((ObjectKey, HawserError) -> Void)? = nil
    ) async throws -> [StoredSnapshot] {
        var ids: [ObjectName] = []
        for try await info in target.list(.snapshot) {
            if let id = info.key.name { ids.append(id) }
        }
        var found: [StoredSnapshot] = []
        try await withBoundedTasks(over: ids, width: Parallelism.requests) {
            id -> (ObjectName, Snapshot?, HawserError?) in
            do {
                return (id, try await snapshot(id), nil)
            } catch let error as HawserError {
                // Passing over what only can't be reached now would make an older snapshot the latest.
                if error.isRetryable || error.code == .accessDenied { throw error }
                return (id, nil, error)
            }
        } take: { id, snapshot, error in
            if let snapshot, filter.matches(snapshot) { found.append(StoredSnapshot(id: id, snapshot: snapshot)) }
            // Otherwise forgotten since it was listed.
            if let error, error.code != .notFound {
                guard let unreadable else { throw error }
                unreadable(.named(.snapshot, id), error)
            }
        }
        await forgetKept(.snapshot, except: Set(ids))
        return found.sorted { ($0.snapshot.time, $0.id) < ($1.snapshot.time, $1.id) }
    }

    public func snapshot(_ id: ObjectName) async throws -> Snapshot {
        let key = ObjectKey.named(.snapshot, id)
        do {
            return try Snapshot(decoding: await fetchKept(key), sealer: objects)
        } catch var error as HawserError {
            error.place = error.place ?? key.path
            throw error
        }
    }

    /// The snapshot that a person means: a full id, a prefix that only one has, or `latest` among those that match.
    ///
    /// - Throws: `notFound`; `invalidArgument` for a prefix that several have; `damaged` for `latest` when a snapshot
    ///   can't be read, since that may be the one.
    public func snapshot(named name: String, _ filter: SnapshotFilter = SnapshotFilter()) async throws -> StoredSnapshot
    {
        if name == "latest" {
            var damaged: ObjectKey?
            let last = try await snapshots(filter) { key, _ in damaged = key }.last
            if let damaged {
                throw HawserError(
                    .damaged,
                    "A snapshot can't be read, so nobody knows which is the latest. «hawser snapshots» lists the others: name one by its id.",
                    place: damaged.path
                )
            }
            guard let last else { throw HawserError(.notFound, "There is no snapshot that matches.") }
            return last
        }
        let id = try await snapshotID(named: name)
        return StoredSnapshot(id: id, snapshot: try await snapshot(id))
    }

    /// The full id of a snapshot, given whole or by a prefix that no other one has. It need not be readable.
    ///
    /// - Throws: `notFound`; `invalidArgument` for a prefix that several have.
    public func snapshotID(named name: String) async throws -> ObjectName {
        var matches: [ObjectName] = []
        for try await info in target.list(.snapshot) {
            if let id = info.key.name, id.hex.hasPrefix(name) { matches.append(id) }
        }
        guard let id = matches.first, !name.isEmpty else {
            throw HawserError(.notFound, "There is no snapshot «\(name)». «hawser snapshots» lists them.")
        }
        guard matches.count == 1 else {
            throw HawserError(.invalidArgument, "Several snapshots begin with «\(name)». Give more digits.")
        }
        return id
    }

    /// A full refs object of a snapshot, to write the next one's as a difference to.
    public func fullRefs(of snapshot: ObjectName) async throws -> Refs.Base? {
        for try await info in target.list(prefix: ObjectKind.refs.prefix + snapshot.hex + "/") {
            guard let name = info.key.name, let refs = try? Refs(decoding: await target.fetchVerified(info.key))
            else { continue }
            return refs.base ?? Refs.Base(snapshot: snapshot, name: name)
        }
        return nil
    }
}
