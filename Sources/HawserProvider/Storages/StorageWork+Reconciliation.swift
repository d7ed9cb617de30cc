import CoreMetrics
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging

extension StorageWork {
    // Clocks of storages and of this machine differ, and an object's time can be that of its PUT's beginning.
    private static let timeMargin = Duration.seconds(15 * 60)

    /// Looks up what became of tickets that have ended.
    func settleTickets() async {
        await guarded("tickets") {
            guard try await !database.endedTickets(limit: 1).isEmpty else { return }
            let places = try await places()
            var seen: Set<EndedTicket> = []
            while !Task.isCancelled {
                let skipped = places.values.filter(isPaused).map(\.folder.id)
                let ended = try await database.endedTickets(skipping: skipped).filter { seen.insert($0).inserted }
                guard !ended.isEmpty else { return }
                let byFolder = Dictionary(grouping: ended, by: \.folder)
                await byStorage(.settle, byFolder.keys.compactMap { places[$0] }) { place in
                    try await self.withStore(place) { store in
                        _ = try await Self.each(byFolder[place.folder.id] ?? []) { ticket in
                            try await self.settle(ticket, store)
                        }
                    }
                }
            }
        }
    }

    private func settle(_ ticket: EndedTicket, _ store: S3ObjectStore) async throws {
        var isStored = false
        if let key = ObjectKey(ticket.key) { isStored = try await store.head(key)?.length == ticket.length }
        try await database.settle(ticket, isStored: isStored)
        metrics.settledTickets.increment()
    }

    /// Gives back what ended sessions had set aside and did not store. Where more is stored than the ledger knows, the
    /// whole folder is reconciled at once.
    func reconcileEnded() async {
        await guarded("ended sessions") {
            guard try await !database.unprovenWork(limit: 1).isEmpty else { return }
            let places = try await places()
            var seen: Set<UnprovenWork> = []
            while !Task.isCancelled {
                let skipped = places.values.filter(isPaused).map(\.folder.id)
                let ended = try await database.unprovenWork(skipping: skipped).filter { seen.insert($0).inserted }
                guard !ended.isEmpty else { return }
                let byFolder = Dictionary(grouping: ended, by: \.folder)
                await byStorage(.ended, byFolder.keys.compactMap { places[$0] }) { place in
                    _ = try await self.unlessBusy(in: place.folder.id) {
                        try await self.reconcile(byFolder[place.folder.id] ?? [], place)
                    }
                }
            }
        }
    }

    private func reconcile(_ ended: [UnprovenWork], _ place: Place) async throws {
        guard let first = ended.map(\.opened).min() else { return }
        let stored = try await listing(place) {
            try await withStore(place) { store in
                let uploads = try await unfinished(store, place)
                var stored = uploads.reduce(0) { min($0 + $1.length, 1 << 60) }
                var new: [(object: ObjectRecord, stored: Moment?)] = []
                for try await version in store.inventory(hasVersions: try await store.hasVersions()) {
                    stored = min(stored + version.length, 1 << 60)
                    let time = version.stored.map { Moment($0) }
                    if let time, time < first - Self.timeMargin { continue }
                    new.append((ObjectRecord(key: version.key, length: version.length), time))
                }
                for work in ended {
                    let begin = work.opened - Self.timeMargin
                    let objects = new.filter { $0.stored.map { $0 >= begin } ?? true }.map(\.object)
                    let back = try await database.reconcile(work, newObjects: objects, unfinished: uploads)
                    logger.info(
                        "An ended session's leases are settled",
                        metadata: ["session": "\(work.target.session)", "folder": "\(work.folder)", "back": "\(back)"]
                    )
                }
                return stored
            }
        }
        guard stored > (try await database.folder(place.folder.id).committed) else { return }
        _ = try await list(place, needsQuiet: true)
    }

    /// Compares folders with the ledger: each once a day, at a time of its own, and after a restore of the database as
    /// soon as that opens it.
    func reconcileDaily() async {
        await guarded("daily listings") {
            let due = try await database.foldersToReconcile()
            guard !due.isEmpty else { return }
            let places = try await places()
            let quiet = due.compactMap { places[$0] }.filter { !isDisturbed($0) }
            await byStorage(.daily, quiet) { place in
                _ = try await self.unlessBusy(in: place.folder.id) { try await self.list(place, needsQuiet: true) }
            }
        }
    }

    /// One folder now, whenever it was listed last; waits for whoever is at work in it.
    func reconcileNow(_ folder: ControlID) async throws -> ReconciliationReport {
        let place = try await place(folder)
        return try await alone(in: folder) { try await list(place) }
    }

    private func list(_ place: Place, needsQuiet: Bool = false) async throws -> ReconciliationReport {
        let report = try await listing(place) {
            try await withStore(place) { store in
                let uploads = try await unfinished(store, place)
                let objects = store.inventory(hasVersions: try await store.hasVersions())
                return try await database.reconcile(
                    place.folder.id,
                    listing: objects.map { ObjectRecord(key: $0.key, length: $0.length) },
                    unfinished: uploads,
                    needsQuiet: needsQuiet
                )
            }
        }
        noteQuiet(place)
        metrics.reconciledFolders.increment()
        logger.log(
            level: report.isOver || !report.foreign.isEmpty ? .warning : .info,
            "A folder was compared with the ledger",
            metadata: [
                "folder": "\(report.folder)", "objects": "\(report.objects)", "stored": "\(report.stored)",
                "unfinished": "\(report.unfinishedUploads)", "difference": "\(report.difference)",
                "foreign": "\(report.foreign.count)", "over": "\(report.isOver)",
            ]
        )
        return report
    }

    /// Uploads that are not ended, of which old ones are ended here.
    private func unfinished(_ store: S3ObjectStore, _ place: Place) async throws -> [ObjectRecord] {
        let end = database.clock.wall - settings.unfinishedUploadAge
        var uploads: [ObjectRecord] = []
        for upload in try await store.unfinishedUploads() {
            guard let begun = upload.begun, Moment(begun) <= end else {
                uploads.append(ObjectRecord(key: upload.key, length: upload.bytes))
                continue
            }
            try await store.abort(upload)
            metrics.abortedUploads.increment()
            try await database.note(
                "upload.abort",
                subject: place.folder.id.text,
                detail: "\(upload.bytes) bytes",
                actor: "server"
            )
        }
        return uploads
    }
}
