import CoreMetrics
import HawserControl
import HawserFormat
import HawserS3
import Logging
import Synchronization

extension StorageWork {
    /// Deletes what removed tenants and subtenants have stored, proves by a listing that nothing is left, and forgets them.
    func removeTenants() async {
        await guarded("removed tenants") {
            let removed = try await database.removedOwners()
            // What was removed before the database was restored waits for the provider's word, as other deletions do.
            let recovery = try await database.recovery()
            guard !removed.isEmpty, recovery?.isApproved ?? true else { return }
            let places = try await places()
            for owner in removed where !Task.isCancelled {
                // What could still put something there after the proof has to end before.
                guard try await !database.canStillStore(owner), try await database.beginDeletion(of: owner) else {
                    continue
                }
                let own = places.values.filter { owner.owns($0.folder) }
                let empty = FolderSet()
                await byStorage(.remove, Array(own)) { place in
                    _ = try await self.unlessBusy(in: place.folder.id) {
                        try await self.empty(place)
                        try await self.issuer.revoke(place.storage, folder: place.folder.id)
                        empty.insert(place.folder.id)
                    }
                }
                guard empty.all == Set(own.map(\.folder.id)) else { continue }
                try await database.forget(owner, folders: empty.all)
                logger.notice("What was removed is deleted", metadata: ["\(owner.table)": "\(owner.id)"])
            }
        }
    }

    /// Ends what was issued for folders whose tenant was disabled, is over a limit, or one of whose machines was revoked.
    func revokeCredentials() async {
        await guarded("revoked credentials") {
            let due = try await database.foldersToRevoke()
            guard !due.isEmpty else { return }
            let places = try await places()
            await byStorage(.revoke, due.compactMap { places[$0] }) { place in
                try await self.issuer.revoke(place.storage, folder: place.folder.id)
            }
        }
    }

    /// - Throws: when something is left.
    private func empty(_ place: Place) async throws {
        try await listing(place) {
            try await withStore(place) { store in
                let hasVersions = try await store.hasVersions()
                var batch: [StoredVersion] = []
                for try await version in store.inventory(hasVersions: hasVersions) {
                    batch.append(version)
                    guard batch.count == 1000 else { continue }
                    try await store.delete(batch)
                    metrics.deletedObjects.increment(by: batch.count)
                    batch = []
                }
                if !batch.isEmpty { try await store.delete(batch) }
                metrics.deletedObjects.increment(by: batch.count)
                try await store.forEachPageOfUnfinishedUploads { page in
                    _ = try await Self.each(page) { try await store.abort($0) }
                }
                var left = store.inventory(hasVersions: hasVersions).makeAsyncIterator()
                let first = try await left.next()?.key
                var upload: String?
                try await store.forEachPageOfUnfinishedUploads { upload = upload ?? $0.first?.key }
                guard first == nil, upload == nil else {
                    throw HawserError(
                        .conflict,
                        "Objects are left in the folder of a removed tenant or subtenant.",
                        place: first ?? upload
                    )
                }
            }
        }
    }
}

/// Folders that were found empty, by whoever works on the storages side by side.
private final class FolderSet: Sendable {
    private let folders = Mutex<Set<ControlID>>([])

    var all: Set<ControlID> { folders.withLock { $0 } }

    func insert(_ folder: ControlID) { _ = folders.withLock { $0.insert(folder) } }
}
