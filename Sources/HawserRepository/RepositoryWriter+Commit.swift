public import HawserFormat
import HawserStorage
import HawserTransfer

extension RepositoryWriter {
    /// Packs that garbage collection marked while the session ran: their chunks have to be stored again first.
    public struct Condemnation: Error {
        public let packs: Set<ObjectName>
    }

    /// Makes the snapshot visible: the only commit point of a backup.
    ///
    /// Everything must have been flushed. Order (docs/format.md, Garbage collection): index segments, refs, then a look
    /// at what is condemned, then the snapshot: each side writes before it reads, so one always sees the other.
    /// - Parameters:
    ///   - replaced: the snapshot whose place this one takes.
    ///   - refsBase: gives full refs to write this snapshot's as a difference to; asked only when they are long.
    /// - Returns: the snapshot's id.
    /// - Throws: `Condemnation` when a pack that it needs is about to be deleted; back up again.
    public func commit(
        _ snapshot: Snapshot,
        replacing replaced: ObjectName? = nil,
        refsBase: @Sendable () async throws -> Refs.Base? = { nil }
    ) async throws -> ObjectName {
        let (bytes, id) = try snapshot.encode(repository.objects)
        try await saveIndex()
        let refs = try await refs(of: id, base: refsBase)
        let object = SealedObject(
            key: .named(.snapshot, id),
            bytes: bytes,
            sha256: id,
            replacing: replaced.map { .named(.snapshot, $0) }
        )
        try await repository.extendLocks(of: packs, fresh: lockEnds, base: refs.base?.key)
        try await repository.commit(object, refs, packs: packs)
        await repository.keep(object.key, bytes)
        return id
    }

    /// Writes a resume point: everything appended and stored so far must belong to what it names.
    public func commit(_ checkpoint: Checkpoint) async throws {
        let (bytes, name) = try checkpoint.encode(repository.objects)
        try await saveIndex()
        let refs = try await refs(of: name) { nil }
        let object = SealedObject(key: .named(.checkpoint, name), bytes: bytes, sha256: name)
        try await repository.commit(object, refs, packs: packs)
    }

    /// The session has ended well: nothing is left to be found in its journal.
    ///
    /// Without a commit, what was stored is entered into the index of the repository now.
    public func close() async throws {
        try await saveIndex()
        journal.remove()
        await repository.cache.trimPacks()
    }

    /// All that the session needs.
    nonisolated var packs: [PackReference] { references.numbers.map { index.pack($0) } }

    private func refs(of snapshot: ObjectName, base: @Sendable () async throws -> Refs.Base?) async throws -> Refs {
        let packs = packs
        // Small ones are not worth the second request that a reader of a difference needs.
        if packs.count > repository.smallRefs, let base = try await base(),
            let object = try? await repository.target.fetchVerified(base.key),
            let full = try? Refs(decoding: object), let basePacks = try? full.resolve()
        {
            return Refs(snapshot: snapshot, generation: 1, packs: packs, base: base, basePacks: basePacks)
        }
        return Refs(snapshot: snapshot, generation: 1, packs: packs)
    }
}

extension Repository {
    /// Makes a snapshot or a checkpoint visible: first its refs, then a look at what is marked, then the object, then a
    /// look at the refs (docs/format.md, 16).
    ///
    /// - Parameter packs: all that `refs` stand for.
    /// - Throws: `RepositoryWriter.Condemnation` when a pack is about to be deleted, or is gone; `pruneInTheWay` when the
    ///   refs were taken for those of a session that is no more.
    func commit(_ object: SealedObject, _ refs: Refs, packs: [PackReference]) async throws {
        var refsObject = try refs.sealed()
        _ = try await target.store(refsObject)
        if let base = refs.base, try await target.head(base.key) == nil {
            // Removed since it was read. Whoever removes it later than now sees that these refs build on it. The next
            // generation, so that nobody takes the difference for a loss.
            refsObject = try Refs(snapshot: refs.snapshot, generation: refs.generation + 1, packs: packs).sealed()
            _ = try await target.store(refsObject)
        }
        let condemned = try await condemnedPacks()
        let marked = packs.map(\.name).filter(condemned.contains)
        if !marked.isEmpty { throw RepositoryWriter.Condemnation(packs: Set(marked)) }
        if index.age > Self.trustedIndexAge { try await requirePresent(packs) }
        do {
            _ = try await target.store(object)
        } catch let error as HawserError where error.code == .sessionOver && error.isRetryable {
            // The provider took this session for dead, and may have let go of what it was about to need. There is a new
            // one: what is there now stays.
            let condemned = try await condemnedPacks()
            let marked = packs.map(\.name).filter(condemned.contains)
            if !marked.isEmpty { throw RepositoryWriter.Condemnation(packs: Set(marked)) }
            try await requirePresent(packs)
            _ = try await target.store(object)
        }
        guard object.key.kind == .snapshot, try await target.head(refsObject.key) == nil else { return }
        // This session slept for days between its refs and its snapshot, and a prune took it for dead. It has looked for
        // snapshots after that; whether it saw this one nobody knows here.
        try await target.delete([object.key])
        throw HawserError(
            .pruneInTheWay,
            "The backup stood still for so long that a prune has removed what it had stored. Back up again.",
            isRetryable: true
        )
    }

    /// Marks stay for 30 days after a deletion: whoever knows an index for longer looks for the packs themselves.
    private static let trustedIndexAge = Duration.seconds(20 * 86_400)

    private func requirePresent(_ packs: [PackReference]) async throws {
        let table = try await PackTable.list(target)
        let gone = packs.filter { table.place(of: $0) == nil }.map(\.name)
        if !gone.isEmpty { throw RepositoryWriter.Condemnation(packs: Set(gone)) }
    }
}
