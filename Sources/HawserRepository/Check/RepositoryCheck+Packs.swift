import HawserFormat
import HawserStorage
import HawserTransfer

extension RepositoryCheck {
    /// Reads all index segments from the storage, into a cache of its own.
    func loadIndex(_ log: inout CheckLog) async throws -> ChunkIndex {
        let cache = RepositoryCache(
            root: nil,
            repositoryID: repository.ring.repositoryID,
            key: repository.config.secrets.cacheKey
        )
        let index = try await ChunkIndex.load(from: repository.target, objects: repository.objects, cache: cache)
        for (key, error) in index.damagedSegments.sorted(by: { $0.key < $1.key }) {
            try log.addUnlessGone(key, error, remedy: .repairIndex)
        }
        return index
    }

    /// Compares the packs in the storage with those of the index.
    func comparePacks(_ index: ChunkIndex, _ damage: inout CheckDamage, _ log: inout CheckLog) async throws {
        let packs = index.packs
        log.summary.packs = packs.count
        var numbers = packs.numbers
        var unknown: [ObjectInfo] = []
        for kind in [ObjectKind.dataPack, .metadataPack] {
            for try await info in repository.target.list(kind) {
                guard let number = numbers.removeValue(forKey: info.key) else {
                    unknown.append(info)
                    continue
                }
                let pack = packs[Int(number)]
                if info.length != Int(pack.length) {
                    let error = Repository.wrongLength(pack, info.length)
                    damage.packs[number] = CheckDamage.Pack(
                        finding: log.add(pack.key.path, error, remedy: .repairPacks),
                        available: info.length
                    )
                }
            }
        }
        // A prune deletes what it marked long before, and takes it out of the index afterwards.
        let condemned = numbers.isEmpty ? [] : try await condemned()
        index.drop(Set(numbers.filter { $0.key.name.map(condemned.contains) ?? false }.values))
        for (key, number) in numbers.sorted(by: { $0.key < $1.key }) {
            if key.name.map(condemned.contains) ?? false { continue }
            var error = HawserError(.notFound, "The index names a pack that is not there.", place: key.path)
            do {
                // It may have come since the packs were listed.
                if try await repository.target.head(key) != nil { continue }
            } catch let other as HawserError where other.code == .damaged {
                error = other
            }
            damage.packs[number] = CheckDamage.Pack(
                finding: log.add(key.path, error, remedy: .repairIndex),
                available: 0
            )
        }
        try await reportUnindexed(unknown, known: index, &log)
    }

    /// A mark that can't be read is found later.
    func condemned() async throws -> Set<ObjectName> {
        do {
            return try await repository.condemnedPacks()
        } catch let error as HawserError where !error.isRetryable && error.code != .accessDenied {
            return []
        }
    }

    /// Each is named up to this number, the rest is only counted: without any index these are all packs.
    private static let unindexedLimit = 100

    private func reportUnindexed(
        _ unknown: [ObjectInfo],
        known index: ChunkIndex,
        _ log: inout CheckLog
    ) async throws {
        if unknown.isEmpty { return }
        // Backups that run meanwhile index what they store.
        let cache = RepositoryCache(
            root: nil,
            repositoryID: repository.ring.repositoryID,
            key: repository.config.secrets.cacheKey
        )
        let now = try await ChunkIndex.load(from: repository.target, objects: repository.objects, cache: cache)
        let keys = now.keysWithoutPack(Set(unknown.map(\.key)))
        let rest = unknown.filter { keys.contains($0.key) }
        for info in rest.prefix(Self.unindexedLimit) {
            let error = HawserError(
                .incomplete,
                "No index segment names this pack of \(info.length) bytes: a backup was interrupted, or one is running.",
                place: info.key.path
            )
            log.add(info.key.path, error, .warning, remedy: .repairIndex)
        }
        if rest.count > Self.unindexedLimit {
            let error = HawserError(
                .incomplete,
                "No index segment names \(rest.count - Self.unindexedLimit) more packs."
            )
            log.add("packs/", error, .warning, remedy: .repairIndex)
        }
    }
}
