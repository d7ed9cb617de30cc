public import HawserFormat
import HawserStorage
import HawserTransfer

/// What happens to the tags of a snapshot.
public enum TagChange: Sendable {
    /// These are the tags from now on.
    case set([[UInt8]])
    /// The second list is taken away before the first is added.
    case change(adding: [[UInt8]], removing: [[UInt8]])

    /// In the order in which they were, none twice.
    public func applied(to tags: [[UInt8]]) -> [[UInt8]] {
        let wanted =
            switch self {
            case .set(let new): new
            case .change(let added, let removed): tags.filter { !removed.contains($0) } + added
            }
        var seen: Set<[UInt8]> = []
        return wanted.filter { seen.insert($0).inserted }
    }
}

extension Repository {
    /// Gives a snapshot other tags: a new snapshot takes its place.
    ///
    /// First the new snapshot's refs are durable, then the new snapshot, then the old one is deleted: killed in
    /// between, both are there. The old one's refs stay for `prune`, since later ones may build on them.
    /// - Returns: the new id, or `nil` when the snapshot has these tags already.
    /// - Throws: `damaged` when no refs of the snapshot can be read: the new one's packs would not be protected.
    public func retag(_ stored: StoredSnapshot, _ change: TagChange) async throws -> ObjectName? {
        try requireWritable()
        let tags = change.applied(to: stored.snapshot.tags)
        if tags == stored.snapshot.tags { return nil }
        let (bytes, id) = try stored.snapshot.retagged(tags, id: stored.id).encode(objects)
        let packs = try await packs(of: stored.id)
        let object = SealedObject(
            key: .named(.snapshot, id),
            bytes: bytes,
            sha256: id,
            replacing: .named(.snapshot, stored.id)
        )
        do {
            try await commit(object, Refs(snapshot: id, generation: 1, packs: packs), packs: packs)
        } catch is RepositoryWriter.Condemnation {
            throw HawserError(
                .pruneInTheWay,
                "Packs of this snapshot are marked for deletion. The next prune moves what it needs of them: run it, then try again.",
                isRetryable: true
            )
        }
        try await target.delete([.named(.snapshot, stored.id)])
        return id
    }

    /// All packs that the refs of a snapshot name: the union of all generations.
    ///
    /// - Throws: `damaged` for a refs object that can't be read, or if there is none.
    func packs(of snapshot: ObjectName) async throws -> [PackReference] {
        do {
            return try await listedPacks(of: snapshot)
        } catch let error as HawserError where error.code == .damaged {
            // Since they were listed, a prune may have put others in their place.
            return try await listedPacks(of: snapshot)
        }
    }

    private func listedPacks(of snapshot: ObjectName) async throws -> [PackReference] {
        var packs: [ObjectName: PackReference] = [:]
        var isEmpty = true
        for try await info in target.list(prefix: ObjectKind.refs.prefix + snapshot.hex + "/") {
            for pack in try await damagedIfAbsent({ try await resolvedRefs(info.key) }).packs {
                packs[pack.name] = pack
            }
            isEmpty = false
        }
        if isEmpty {
            throw HawserError(
                .damaged,
                "The snapshot has no refs object: nothing protects its packs.",
                place: snapshot.hex
            )
        }
        return packs.values.sorted { $0.name < $1.name }
    }

    private func damagedIfAbsent<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch var error as HawserError where error.code == .notFound {
            error.code = .damaged
            throw error
        }
    }

    /// The packs of one refs object, with those of its base.
    ///
    /// - Throws: `notFound`; `damaged`, also when the base is not there.
    func resolvedRefs(_ key: ObjectKey) async throws -> (generation: UInt32, packs: [PackReference]) {
        do {
            let refs = try Refs(decoding: await target.fetchVerified(key))
            guard refs.snapshot == key.snapshot else {
                throw HawserError(.damaged, "The refs object is another snapshot's.")
            }
            guard let base = refs.base else { return (refs.generation, try refs.resolve()) }
            let full = try await damagedIfAbsent { try Refs(decoding: await target.fetchVerified(base.key)) }
            return (refs.generation, try refs.resolve(base: full))
        } catch var error as HawserError {
            error.place = error.place ?? key.path
            throw error
        }
    }
}
