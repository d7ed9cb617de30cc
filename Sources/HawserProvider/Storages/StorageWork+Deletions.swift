import CoreMetrics
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging

extension StorageWork {
    /// Carries out what may be deleted now. What looks like a spree is held for the provider.
    func runDueDeletions() async {
        await guarded("deletions") {
            try await holdSprees()
            guard try await !database.dueDeletions(limit: 1).isEmpty else { return }
            let places = try await places()
            var done: Set<ControlID> = []
            while !Task.isCancelled {
                let skipped = places.values.filter(isPaused).map(\.folder.id)
                let due = try await database.dueDeletions(skipping: skipped).filter { !done.contains($0.id) }
                guard !due.isEmpty else { return }
                done.formUnion(due.map(\.id))
                let byFolder = Dictionary(grouping: due, by: \.folder)
                await byStorage(.delete, byFolder.keys.compactMap { places[$0] }) { place in
                    var failure: HawserError?
                    for deletion in byFolder[place.folder.id] ?? [] {
                        do {
                            _ = try await self.unlessBusy(in: deletion.folder) {
                                try await self.carryOut(deletion, place)
                            }
                        } catch let error as HawserError where !error.isRetryable {
                            // An object that can't be deleted holds up no others.
                            failure = error
                        }
                    }
                    if let failure { throw failure }
                }
                // With what was asked for meanwhile.
                try await holdSprees()
            }
        }
    }

    private func holdSprees(in folder: ControlID? = nil) async throws {
        let (percent, most) = (settings.spreePercent, settings.spreeObjects)
        for held in try await database.holdSprees(in: folder, percent: percent, most: most) {
            logger.warning(
                "A tenant wants to delete much at once; the deletion is held until it is approved",
                metadata: [
                    "deletion": "\(held.id)", "tenant": "\(held.tenant)", "repository": "\(held.repository)",
                    "objects": "\(held.objects)",
                ]
            )
        }
    }

    /// At once, as far as the storage answers soon.
    ///
    /// - Returns: how many objects are gone.
    func deleteNow(_ deletion: DeletionRecord) async -> Int {
        guard deletion.state == .waiting, deletion.notBefore <= database.clock.steady else { return 0 }
        do {
            let place = try await place(deletion.folder)
            guard !isPaused(place) else { return 0 }
            return try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    do {
                        return try await self.alone(in: deletion.folder) {
                            try await self.holdSprees(in: deletion.folder)
                            return try await self.carryOut(deletion, place)
                        }
                    } catch {
                        self.failed(.delete, place, error)
                        return false
                    }
                }
                group.addTask { [settings] in
                    try await Task.sleep(for: settings.answerTime)
                    return false
                }
                defer { group.cancelAll() }
                return try await group.next() == true ? deletion.keys.count : 0
            }
        } catch {
            return 0
        }
    }

    /// Deletes all versions, looks whether one is left, and gives the bytes back. For who is alone in the folder.
    ///
    /// - Returns: `false` when another deletion in the folder has to end first, or the provider has to approve.
    private func carryOut(_ deletion: DeletionRecord, _ place: Place) async throws -> Bool {
        // While this waited, others may have done it, and what the keys name now may be new.
        guard let current = try await database.waitingDeletion(deletion.id) else { return false }
        // Checked when it was asked for; the database could have been changed by others.
        let keys = Set(current.keys.compactMap { ObjectKey($0) })
        let isDone = try await withStore(place) { store in
            let hasVersions = try await store.hasVersions()
            let there = try await Self.stored(keys, store, hasVersions)
            let bytes = there.reduce(0) { min($0 + $1.length, 1 << 50) }
            guard let measured = try await database.measureDeletion(deletion.id, bytes: bytes) else { return false }
            var failure: (any Error)?
            do { try await store.delete(there) } catch let error as HawserError { failure = error }
            let left = try await Self.stored(keys, store, hasVersions)
            let gone = max(0, measured - left.reduce(0) { min($0 + $1.length, 1 << 50) })
            metrics.deletedObjects.increment(by: max(0, there.count - left.count))
            metrics.freedBytes.increment(by: gone)
            guard left.isEmpty else {
                let rest = Set(left.map(\.key)).sorted()
                try await database.shrinkDeletion(deletion.id, freed: gone, keys: rest)
                throw failure
                    ?? HawserError(
                        .unavailable,
                        "The storage still has objects that it said were deleted.",
                        place: rest.first
                    )
            }
            try await database.finishDeletion(deletion.id, freed: gone)
            return true
        }
        guard isDone else { return false }
        logger.info(
            "Deleted",
            metadata: ["deletion": "\(deletion.id)", "folder": "\(deletion.folder)", "objects": "\(keys.count)"]
        )
        return true
    }

    /// What of these objects is there.
    private static func stored(
        _ keys: Set<ObjectKey>,
        _ store: S3ObjectStore,
        _ hasVersions: Bool
    ) async throws -> [StoredVersion] {
        try await each(keys) { key -> [StoredVersion] in
            guard hasVersions else {
                return try await store.head(key).map { [StoredVersion(key: key.path, length: $0.length)] } ?? []
            }
            var versions: [StoredVersion] = []
            for try await version in store.inventory(prefix: key.path, hasVersions: true) {
                // The key itself comes before all that it is only the beginning of.
                guard version.key == key.path else { break }
                versions.append(version)
            }
            return versions
        }.flatMap { $0 }
    }

    /// What goes wrong with the database is told by the server's sign of life too; the next pass tries again.
    func guarded(_ job: String, _ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            guard !Task.isCancelled else { return }
            logger.error("Work on storages can't go on", metadata: ["job": "\(job)", "error": "\(error)"])
        }
    }
}
