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

    /// Gives back what ended sessions had set aside and did not store. Where the ledger still says something else than the
    /// listing, the whole folder is reconciled at once.
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
        let stored = try await settle(ended, place)
        guard stored != (try await database.folder(place.folder.id).committed) else { return }
        _ = try await list(place, needsQuiet: true)
    }

    /// - Returns: bytes that are stored in the folder.
    private func settle(_ ended: [UnprovenWork], _ place: Place) async throws -> Int {
        try await listing(place) {
            try await withStore(place) { store in
                let uploads = try await unfinished(store, place).bytes
                var (stored, unknown) = (uploads, ended.map { _ in uploads })
                // A page at a time: tenants decide how much there is.
                var page: [(object: ObjectRecord, stored: Moment?)] = []
                func look() async throws {
                    let told = try await database.told(page.map(\.object), in: place.folder.id)
                    for (object, time) in page where !told.contains(object.key) {
                        for (index, work) in ended.enumerated()
                        where time.map({ $0 >= work.opened - Self.timeMargin }) ?? true {
                            unknown[index] = min(unknown[index] + object.length, 1 << 60)
                        }
                    }
                    page = []
                }
                for try await version in store.inventory(hasVersions: try await store.hasVersions()) {
                    try checkBytes(version.length)
                    stored = min(stored + version.length, 1 << 60)
                    page.append(
                        (ObjectRecord(key: version.key, length: version.length), version.stored.map { Moment($0) })
                    )
                    if page.count == 500 { try await look() }
                }
                try await look()
                for (work, unknown) in zip(ended, unknown) {
                    let back = try await database.reconcile(work, unknown: unknown)
                    logger.info(
                        "An ended session's leases are settled",
                        metadata: ["session": "\(work.target.session)", "folder": "\(work.folder)", "back": "\(back)"]
                    )
                }
                return stored
            }
        }
    }

    /// Asks the storage when a snapshot came that is about to be replaced and that nobody told of, as after a restore of the
    /// database: what takes its place gets its time.
    ///
    /// - Throws: `unavailable`, whatever the storage answered.
    func noteArrival(of snapshot: ObjectKey, in folder: ControlID) async throws {
        guard let id = snapshot.name, try await !database.hasReceipt(of: id, in: folder) else { return }
        let info = try await withStore(place(folder)) { store in
            do { return try await store.head(snapshot) } catch { throw Self.trouble(error) }
        }
        guard let stored = info?.stored else { return }
        try await database.write { try $0.noteReceipt(of: id, in: folder, stored: Moment(stored)) }
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

    /// One folder now, whenever it was listed last; waits for whoever is at work in it. What ended sessions left is settled
    /// before.
    func reconcileNow(_ folder: ControlID) async throws -> ReconciliationReport {
        let place = try await place(folder)
        return try await alone(in: folder) {
            while true {
                let ended = try await database.unprovenWork(in: folder)
                guard !ended.isEmpty else { break }
                _ = try await settle(ended, place)
            }
            do {
                return try await list(place, needsQuiet: true)
            } catch let error as ListingDisturbed {
                return error.report
            }
        }
    }

    private func list(_ place: Place, needsQuiet: Bool = false) async throws -> ReconciliationReport {
        let report = try await listing(place) {
            try await withStore(place) { store in
                let uploads = try await unfinished(store, place)
                let objects = store.inventory(hasVersions: try await store.hasVersions())
                return try await database.reconcile(
                    place.folder.id,
                    listing: objects.map { version in
                        ListedObject(
                            ObjectRecord(key: version.key, length: version.length),
                            stored: version.isDeleteMarker ? nil : version.stored.map { Moment($0) }
                        )
                    },
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

    /// Uploads that are not ended. Old ones are ended here, and all beyond the first thousand: Hawser begins none, and the
    /// time that their parts take to list would be others'.
    private func unfinished(_ store: S3ObjectStore, _ place: Place) async throws -> UnfinishedUploads {
        let end = database.clock.wall - settings.unfinishedUploadAge
        var (found, ended) = (UnfinishedUploads(), 0)
        try await store.forEachPageOfUnfinishedUploads { page in
            let young = page.filter { $0.begun.map { Moment($0) > end } ?? true }
                .prefix(Self.mostUploads - found.count)
            let kept = Set(young)
            let others = page.filter { !kept.contains($0) }
            found.count += young.count
            for bytes in try await Self.each(young, { try await store.bytes(of: $0) }) {
                found.bytes = min(found.bytes + bytes, 1 << 60)
            }
            _ = try await Self.each(others) { try await store.abort($0) }
            ended += others.count
        }
        guard ended > 0 else { return found }
        metrics.abortedUploads.increment(by: ended)
        try await database.note(
            "upload.abort",
            subject: place.folder.id.text,
            detail: "\(ended) unfinished uploads",
            actor: "server"
        )
        return found
    }

    private static let mostUploads = 1000
}
