public import HawserFormat
import HawserStorage
public import HawserTransfer

/// An opened repository: where it is, its keys, and the index of its chunks.
public struct Repository: Sendable {
    public let target: any DataMoverTarget
    public let config: RepositoryConfig
    public let index: ChunkIndex
    /// Names chunks.
    public let ids: ChunkIDKeys
    /// Seals and opens chunks.
    public let blobs: BlobSealer
    let objects: ObjectSealer
    let ring: KeyRing
    let cache: RepositoryCache
    /// How long opening took until the keys were there: nearly all of it is the key derivation.
    public internal(set) var unlockDuration = Duration.zero
    /// The key slot that the password opened.
    let slot: ObjectName
    /// Refs of more packs than this are written as differences: 1,024 packs are 40 KiB, and less is not worth the second
    /// request that a reader of a difference needs.
    var smallRefs = 1024

    /// The hexadecimal repository id.
    public var id: String { config.header.repositoryID.hex }

    /// Whether a newer program has set something that this one could not keep up when writing.
    public var isReadOnly: Bool { config.isReadOnly }

    /// Why this machine's cache can't be written to, if it can't: work goes on without it, slower, and with the index in
    /// memory.
    public var cacheProblem: HawserError? { cache.problem }

    /// Makes a repository where there is none.
    ///
    /// - Parameters:
    ///   - password: opens the first key slot; any bytes, as they are.
    ///   - secrets: of another repository, so that `copy` between the two deduplicates; `nil` draws new ones.
    ///   - cost: of trying one password.
    ///   - lock: of what a restore needs. Whoever calls sees to it that the storage has locks.
    ///   - features: gives what the configuration says that only informs; asked when it is known that there is no
    ///     repository.
    /// - Throws: `repositoryExists`; what `features` throws.
    public static func create(
        at target: any DataMoverTarget,
        password: Secret,
        slot metadata: KeySlot.Metadata,
        secrets: RepositorySecrets? = nil,
        cost: ScryptParameters = .standard,
        lock: ObjectLock? = nil,
        features: () async throws -> Set<String> = { [] }
    ) async throws {
        for try await _ in target.list(.config) {
            throw HawserError(.repositoryExists, "There is a repository already. Nothing was changed.")
        }
        try await requireNoRemains(target)
        let ring = KeyRing.random()
        var config = RepositoryConfig(
            repositoryID: ring.repositoryID,
            secrets: secrets ?? .random(),
            fileChunker: .files,
            // Blocks of a disk change in place: small enough to store little of what did not change.
            imageChunker: .fixed(1 << 20)
        )
        config.header.features.info = try await features()
        config.setLock(lock)
        let slot = try await BlockingExecutor.shared.run {
            try KeySlot.seal(ring, metadata: metadata, password: password, cost: cost)
        }
        // The slot first: a config without any slot could not be opened, a slot without a config is nothing.
        let slotObject = SealedObject(kind: .keySlot, bytes: slot.bytes)
        _ = try await target.store(slotObject)
        let bytes = try config.encode(ring)
        let key = ObjectKey.config(config.header.generation)
        // Of two that create at once one wins; where the storage can't refuse the second, reading back tells.
        let isOurs: Bool
        do {
            _ = try await target.store(SealedObject(key: key, bytes: bytes, sha256: ObjectName(hashOf: bytes)))
            isOurs = try await target.fetch(key, range: nil) == bytes
        } catch let error as HawserError where error.code == .conflict {
            isOurs = false
        }
        guard isOurs else {
            // It would open nothing, and people would take it for a key of the other repository.
            try await target.delete([slotObject.key])
            throw HawserError(
                .repositoryExists,
                "Another repository was made here at the same time. Nothing was changed."
            )
        }
    }

    /// Opens a repository.
    ///
    /// - Parameter cacheRoot: where this machine keeps what makes it fast; `nil` keeps nothing. A place that can't be
    ///   written to is no error: see `cacheProblem`.
    /// - Throws: `noRepository`, `wrongPassword`, `damaged`, `unsupported`.
    public static func open(
        at target: any DataMoverTarget,
        password: Secret,
        cacheRoot: String?
    ) async throws -> Repository {
        let begin = ContinuousClock.now
        async let segments = ChunkIndex.segments(in: target)
        let unlocked = try await unlock(target, password: password)
        let unlockDuration = begin.duration(to: .now)
        var repository = try await open(at: target, unlocked, cacheRoot: cacheRoot, listed: segments)
        repository.unlockDuration = unlockDuration
        return repository
    }

    /// All of opening but the keys.
    ///
    /// - Parameter segments: if they were listed just now.
    static func open(
        at target: any DataMoverTarget,
        _ unlocked: Unlocked,
        cacheRoot: String?,
        listed segments: [ObjectName: ListedSegment]? = nil
    ) async throws -> Repository {
        let ring = unlocked.ring
        let config = unlocked.config
        let cache = RepositoryCache(
            root: cacheRoot,
            repositoryID: ring.repositoryID,
            key: config.secrets.cacheKey
        )
        let generation = config.header.generation
        guard generation >= cache.seenGeneration() else {
            throw HawserError(
                .damaged,
                "The configuration is older than what this machine has seen: somebody may have put an old state back."
            )
        }
        cache.rememberGeneration(generation)
        let objects = ring.objectSealer
        let index = try await ChunkIndex.load(from: target, objects: objects, cache: cache, listed: segments)
        let repository = Repository(
            target: target,
            config: config,
            index: index,
            ids: ChunkIDKeys(secret: config.secrets.id.bytes),
            blobs: BlobSealer(
                repositoryID: ring.repositoryID,
                epochs: ring.epochSecrets,
                currentEpoch: ring.currentEpoch
            ),
            objects: objects,
            ring: ring,
            cache: cache,
            slot: unlocked.slot
        )
        // Segments go on naming packs that were deleted; of a chunk's places the lasting one is read. Who can't know
        // reads what the index gives first; a backup asks again and must know.
        index.condemn((try? await repository.packs(condemnedBy: unlocked.condemned)) ?? [])
        return repository
    }

    typealias Unlocked = (ring: KeyRing, config: RepositoryConfig, slot: ObjectName, condemned: [ObjectKey])

    /// Only the keys and the configuration, without the index, and what is marked for deletion.
    static func unlock(_ target: any DataMoverTarget, password: Secret) async throws -> Unlocked {
        // Side by side: over a network these are most of the time that opening takes, beside the key derivation.
        async let fetched = slots(target)
        let overview = try await RepositoryOverview.load(from: target)
        let (newest, bytes) = try await newestConfiguration(of: target, overview)
        let (ring, slot) = try await openSlot(
            fetched,
            password: password,
            of: try? RepositoryConfig.header(of: bytes).repositoryID
        )
        let config: RepositoryConfig
        do {
            config = try RepositoryConfig(decoding: bytes, ring: ring)
        } catch var error as HawserError {
            error.place = newest.path
            throw error
        }
        guard config.header.generation == newest.generation else {
            throw HawserError(.damaged, "The configuration is under a number that is not its own.", place: newest.path)
        }
        return (ring, config, slot, overview.condemned)
    }

    private struct FetchedSlot: Sendable {
        var name: ObjectName
        var bytes: [UInt8]
    }

    // The longest slot of the format has 160 KiB. Longer ones are not fetched: the storage decides how long they are.
    private static let longestSlot = 1 << 20

    /// In the order of their names; without those that are gone when they are fetched.
    private static func slots(_ target: any DataMoverTarget) async throws -> [FetchedSlot] {
        var names: [ObjectName] = []
        var oversized: [FetchedSlot] = []
        for try await info in target.list(.keySlot) {
            guard let name = info.key.name else { continue }
            if info.length <= longestSlot {
                names.append(name)
            } else {
                oversized.append(FetchedSlot(name: name, bytes: []))
            }
        }
        var slots = oversized
        try await withBoundedTasks(over: names, width: Parallelism.requests) { name -> FetchedSlot? in
            do {
                return FetchedSlot(name: name, bytes: try await target.fetch(.named(.keySlot, name), range: nil))
            } catch let error as HawserError where error.code == .notFound {
                // Changed meanwhile.
                return nil
            }
        } take: { slot in
            if let slot { slots.append(slot) }
        }
        return slots.sorted { $0.name < $1.name }
    }

    static func newestConfiguration(
        of target: any DataMoverTarget,
        _ overview: RepositoryOverview
    ) async throws -> (key: ObjectKey, bytes: [UInt8]) {
        guard let newest = overview.newestConfig else {
            try await requireNoRemains(target)
            throw HawserError(.noRepository, "There is no repository here. Make one with «hawser init».")
        }
        return (newest, try await target.fetch(newest, range: nil))
    }

    /// A new repository among the snapshots of another would be taken for that one, and damaged.
    private static func requireNoRemains(_ target: any DataMoverTarget) async throws {
        for try await _ in target.list(.snapshot) {
            throw HawserError(
                .damaged,
                "There are snapshots here, and the configuration that opens them is gone. Bring it back from a copy. Nothing was changed.",
                place: ObjectKind.config.prefix
            )
        }
    }

    /// - Parameter repositoryID: as the configuration has it, if it can be read: a slot of another repository, left by
    ///   one that was made at the same time and failed, is passed over.
    private static func openSlot(
        _ slots: [FetchedSlot],
        password: Secret,
        of repositoryID: [UInt8]?
    ) async throws -> (KeyRing, ObjectName) {
        guard !slots.isEmpty else {
            throw HawserError(
                .damaged,
                "The repository has no key any more, so nobody can open it. Bring them back from a copy.",
                place: ObjectKind.keySlot.prefix
            )
        }
        var damage: HawserError?
        for fetched in slots {
            do {
                let slot = try KeySlot(decoding: fetched.bytes, name: fetched.name)
                let opening = try await BlockingExecutor.shared.run { try slot.open(password: password) }
                guard case .opened(let ring, _) = opening else { continue }
                if let repositoryID, ring.repositoryID != repositoryID {
                    throw HawserError(.damaged, "The key slot is another repository's.")
                }
                return (ring, fetched.name)
            } catch let error as HawserError where [.damaged, .unsupported].contains(error.code) {
                // One odd slot must not keep out whoever has another.
                damage = error
                damage?.place = ObjectKey.named(.keySlot, fetched.name).path
            }
        }
        if let damage { throw damage }
        throw HawserError(.wrongPassword, "No key of this repository opens with this password.")
    }
}
