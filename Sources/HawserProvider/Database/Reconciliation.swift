import GRDB
public import HawserControl
import HawserFormat
import Synchronization

/// What a listing of the storage told about a folder.
public struct ReconciliationReport: Codable, Sendable, Hashable {
    public var folder: ControlID
    public var objects: Int
    /// Bytes of all objects and versions.
    public var stored: Int
    public var unfinishedUploads: Int
    public var unfinishedBytes: Int
    /// What the ledger had, and what it has now.
    public var before: Int
    public var after: Int
    /// Keys that are none of the repository format: they count all the same. At most 100 of them.
    public var foreign: [String]
    /// More is there than the quota allows.
    public var isOver: Bool
    /// Leases were open, or something was stored meanwhile: some bytes may count twice until the next listing.
    public var isLoose = false
    /// For that reason the ledger is as it was.
    public var isDropped = false

    public var difference: Int { after - before }
}

/// What a listing of the storage has found.
public struct ListedObject: Sendable {
    public var object: ObjectRecord
    /// `nil` when the storage does not say, and for what is no object, as the mark of a deleted one.
    public var stored: Moment?

    public init(_ object: ObjectRecord, stored: Moment? = nil) {
        self.object = object
        self.stored = stored
    }
}

/// Multipart uploads in a folder that were begun and not ended.
public struct UnfinishedUploads: Sendable {
    public var count = 0
    /// Of their parts.
    public var bytes = 0

    public init(count: Int = 0, bytes: Int = 0) {
        (self.count, self.bytes) = (count, bytes)
    }
}

/// Sessions stored something in the folder while it was listed. The ledger is as it was; another time may be quieter.
struct ListingDisturbed: Error {
    var report: ReconciliationReport
}

/// What a session left behind that only the storage can tell.
public struct UnprovenWork: Sendable, Hashable {
    public var target: LedgerTarget
    public var folder: ControlID
    /// The session's beginning, by the steady clock.
    public var opened: Moment
}

extension ConfigurationDatabase {
    static let mostForeign = 100

    /// Corrects the ledger by a full listing: afterwards the folder counts what is stored, and what was added while the
    /// listing ran and is not in it. Never less than is stored; bytes that come during the listing may count twice until
    /// the next one.
    ///
    /// - Parameters:
    ///   - listing: all objects and versions below the folder, without the folder's name. In order or not.
    ///   - unfinished: uploads that were begun, listed before or after.
    ///   - needsQuiet: whether a listing that leases have run beside is to be dropped (``ListingDisturbed``), so that
    ///     nothing counts twice. One that is overdue, opens a folder after a restore of the database, or found more
    ///     than could have come on these leases counts all the same.
    /// - Throws: what the listing throws, and then nothing was changed; `conflict` when one is running already.
    public func reconcile<Listing: AsyncSequence>(
        _ folder: ControlID,
        listing: Listing,
        unfinished: UnfinishedUploads = UnfinishedUploads(),
        needsQuiet: Bool = false
    ) async throws -> ReconciliationReport where Listing.Element == ListedObject {
        guard listings.withLock({ $0.insert(folder).inserted }) else {
            throw HawserError(.conflict, "The folder is being listed already.", place: folder.text)
        }
        defer { listings.withLock { _ = $0.remove(folder) } }
        let begun = clock.wall
        let (start, round) = try await beginListing(folder)
        var report = ReconciliationReport(
            folder: folder,
            objects: 0,
            stored: 0,
            unfinishedUploads: unfinished.count,
            unfinishedBytes: unfinished.bytes,
            before: 0,
            after: 0,
            foreign: [],
            isOver: false
        )
        do {
            var page: [ListedObject] = []
            for try await listed in listing {
                let object = listed.object
                try checkBytes(object.length)
                report.objects += 1
                report.stored = min(report.stored + object.length, 1 << 60)
                if ObjectKey(object.key) == nil, report.foreign.count < Self.mostForeign {
                    report.foreign.append(object.key)
                }
                page.append(listed)
                if page.count == 500 {
                    try await noteListed(page, folder)
                    page = []
                }
            }
            try await noteListed(page, folder)
            let result = try await endListing(folder, start, report, needsQuiet: needsQuiet)
            try await dropReceipts(of: folder, round: round, begun: begun)
            return result
        } catch {
            // What was marked means nothing then. If even this fails: while it seems to go on, all counts in full.
            try? await write { transaction in
                let sql = "UPDATE folder SET round = round + 1, isListing = 0 WHERE id = ?"
                try transaction.db.run(sql, [folder.text])
            }
            throw error
        }
    }

    private func beginListing(_ folder: ControlID) async throws -> (start: Moment, round: Int) {
        try await write { transaction in
            let row = try transaction.db.one("folder", id: folder, what: "folder").row
            try transaction.db.run(
                "UPDATE folder SET round = round + 1, isListing = 1, added = 0, addedUnproven = 0 WHERE id = ?",
                [folder.text]
            )
            try transaction.forgetUnproven("folder = ?", [folder.text])
            // What running deletions have taken away so far is corrected by this listing.
            try transaction.db.run(
                "UPDATE deletion SET measured = NULL WHERE folder = ? AND state = 'waiting' AND measured IS NOT NULL",
                [folder.text]
            )
            return (transaction.now, row["round"] + 1)
        }
    }

    /// Objects of running sessions are marked, so that they don't count twice: in the listing and when told.
    private func noteListed(_ page: [ListedObject], _ folder: ControlID) async throws {
        guard !page.isEmpty else { return }
        try await write { transaction in
            for (object, stored) in page.lazy.map({ ($0.object, $0.stored) }) {
                if let stored, let key = ObjectKey(object.key), key.kind == .snapshot, let id = key.name {
                    try transaction.noteListed(snapshot: id, stored: stored, in: folder)
                }
                try transaction.db.run(
                    """
                    UPDATE reservation SET listed = (SELECT round FROM folder WHERE id = ?1)
                    WHERE folder = ?1 AND key = ?2 AND length = ?3
                    """,
                    [folder.text, object.key, object.length]
                )
            }
        }
    }

    private func endListing(
        _ folder: ControlID,
        _ start: Moment,
        _ report: ReconciliationReport,
        needsQuiet: Bool
    ) async throws -> ReconciliationReport {
        let epoch = self.epoch
        let ticketLife = Duration.seconds(ledgerSettings.ticketLifetime + ledgerSettings.ticketGrace)
        return try await write { transaction in
            let db = transaction.db
            var report = report
            let row = try db.one("folder", id: folder, what: "folder").row
            let old = try FolderRecord(row)
            // Of what was added meanwhile, the listing has seen this.
            let seen = try db.row(
                """
                SELECT IFNULL(SUM(booked), 0) AS bytes FROM reservation
                WHERE folder = ?1 AND state = 'committed' AND listed = ?2 AND round = ?2
                """,
                [folder.text, row["round"] as Int]
            )
            let added = max(0, (row["added"] as Int) - (seen?["bytes"] ?? 0))
            report.before = old.committed
            let found = report.stored + report.unfinishedBytes
            report.after = found + added
            // What is on a lease now, the listing may have seen, and it is told of later all the same.
            let isLoose = try added > 0 || db.exists("SELECT 1 FROM lease WHERE folder = ?", [folder.text])
            report.isLoose = isLoose
            if needsQuiet, isLoose, (row["epoch"] as Int64) >= epoch, !old.isListingOverdue(transaction.wall),
                found <= old.committed + old.reserved
            {
                (report.after, report.isOver, report.isDropped) = (old.committed, old.isOver, true)
                throw ListingDisturbed(report: report)
            }
            try transaction.apply(.init(committed: report.after - old.committed), to: old)
            try db.update(
                "folder",
                id: folder,
                [
                    "isLoose": isLoose, "unproven": row["addedUnproven"] as Int,
                    "reconciled": transaction.wall.milliseconds,
                    "isListing": false, "added": 0, "addedUnproven": 0, "objects": report.objects,
                ]
            )
            // They are none of these objects: what is asked for next is compared with what is left.
            try db.run("UPDATE deletion SET count = 0 WHERE folder = ? AND state = 'done'", [folder.text])
            try transaction.openAfterRecovery(folder, start, epoch, ticketLife)
            report.isOver = try db.refreshOver(folder)
            if report.difference != 0 {
                try transaction.audit("ledger.corrected", folder.text, "\(report.before) to \(report.after)")
            }
            if report.isOver != old.isOver || report.difference != 0 { transaction.publish(.tenant(old.tenant)) }
            return report
        }
    }

    /// Ended sessions with bytes that nobody knows the fate of.
    ///
    /// - Parameters:
    ///   - folder: only there.
    ///   - skipping: folders that are not looked at now.
    public func unprovenWork(
        in folder: ControlID? = nil,
        limit: Int = 100,
        skipping: [ControlID] = []
    ) async throws -> [UnprovenWork] {
        try await read { db in
            try db.rows(
                """
                SELECT session.*, work.folder, folder.repository, folder.subtenant AS place FROM work
                JOIN session ON session.id = work.session JOIN folder ON folder.id = work.folder
                WHERE session.ended IS NOT NULL AND (work.unproven > 0
                    OR EXISTS (SELECT 1 FROM lease WHERE lease.session = work.session AND lease.folder = work.folder))
                    AND work.folder NOT IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR work.folder = ?2)
                ORDER BY session.fence LIMIT ?3
                """,
                [try jsonText(skipping.map(\.text)), folder?.text, limit]
            ).map { row in
                let session = try SessionRecord(row)
                return UnprovenWork(
                    target: LedgerTarget(
                        session: session.id,
                        tenant: session.tenant,
                        subtenant: try row.optionalID("place"),
                        repository: try row.id("repository")
                    ),
                    folder: try row.id("folder"),
                    opened: session.opened
                )
            }
        }
    }

    /// Keys of these that a session has told of.
    func told(_ page: [ObjectRecord], in folder: ControlID) async throws -> Set<String> {
        try await read { db in
            Set(
                try page.map(\.key).filter {
                    try db.exists("SELECT 1 FROM reservation WHERE folder = ? AND key = ?", [folder.text, $0])
                }
            )
        }
    }

    /// Gives back what an ended session had set aside and did not store.
    ///
    /// - Parameter unknown: bytes of all that came into the folder since the session began and no session has told of, with
    ///   those of unfinished uploads: they may be what this one stored.
    /// - Returns: bytes given back.
    func reconcile(_ work: UnprovenWork, unknown: Int) async throws -> Int {
        return try await write { transaction in
            let db = transaction.db
            let session = work.target.session.text
            guard try db.exists("SELECT 1 FROM session WHERE id = ? AND ended IS NOT NULL", [session]) else {
                throw HawserError(.conflict, "The session has not ended.", place: session)
            }
            for lease in try db.rows(
                "SELECT * FROM lease WHERE session = ? AND folder = ?",
                [session, work.folder.text]
            ) { try transaction.bookUnproven(lease) }
            let row = try db.row(
                "SELECT * FROM work WHERE session = ? AND folder = ?",
                [session, work.folder.text]
            )
            let unproven: Int = row?["unproven"] ?? 0
            let done = row.map(LedgerWrite.Work.init) ?? LedgerWrite.Work()
            let back = min(unproven, max(0, done.booked - done.byKeys - unknown))
            let folder = try db.one("folder", id: work.folder, what: "folder").map(FolderRecord.init)
            try transaction.apply(.init(committed: -min(back, folder.committed), unproven: -unproven), to: folder)
            try transaction.forgetUnproven("session = ? AND folder = ?", [session, work.folder.text])
            // They may be a running session's as well, and then count twice when that tells of them: a listing decides
            // when no lease is open any more.
            if unproven > 0, unknown > 0,
                try db.exists("SELECT 1 FROM lease WHERE folder = ?", [work.folder.text])
            {
                try db.update("folder", id: work.folder, ["isLoose": true])
            }
            try db.refreshOver(work.folder)
            return back
        }
    }
}

extension Transaction {
    /// After a restore of the database a folder takes new data once a full listing has begun when no ticket or lease
    /// that the database forgot could still be used.
    fileprivate func openAfterRecovery(
        _ folder: ControlID,
        _ start: Moment,
        _ epoch: Int64,
        _ ticketLife: Duration
    ) throws {
        guard let recovery = try Setting.recovery.read(db), start >= recovery.since + ticketLife else { return }
        try db.update("folder", id: folder, ["epoch": epoch])
    }
}
