import GRDB
public import HawserControl
import HawserFormat

extension DeletionRecord {
    /// In SQL.
    static let isPending = "deletion.state IN ('waiting', 'held')"

    init(_ row: Row) throws {
        id = try row.id("id")
        folder = try row.id("folder")
        session = try row.id("session")
        keys = try row.json("keys")
        requested = Moment(milliseconds: row["requested"])
        notBefore = Moment(milliseconds: row["notBefore"])
        state = try row.choice("state")
    }
}

/// What tenants asked to delete. The provider deletes, when it may, and tells the ledger what is gone.
extension ConfigurationDatabase {
    /// Requests that may wait in a folder, beside one for each 500 objects that a listing found.
    static let mostDeletions = 1000

    /// - Parameter pending: bytes of these objects, which go on counting until they are gone.
    /// - Returns: what is to be carried out, at once or after the days of insider protection.
    /// - Throws: `invalidArgument` for a key that is none of the format; `tooManyRequests` when very many wait.
    @discardableResult
    public func requestDeletion(
        _ target: LedgerTarget,
        keys: [String],
        pending: Int = 0
    ) async throws -> DeletionRecord {
        guard !keys.isEmpty else { throw HawserError(.invalidArgument, "A deletion names objects.") }
        for key in keys where ObjectKey(key) == nil {
            throw HawserError(.invalidArgument, "This is no object of the repository format.", place: key)
        }
        try checkBytes(pending)
        return try await write(actor: target.session.text) { [self] transaction in
            let db = transaction.db
            let purpose = try LedgerWrite(transaction, target, self).purpose
            guard purpose == .prune || purpose == .full else {
                throw HawserError(.accessDenied, "A session for `\(purpose.rawValue)` deletes nothing.")
            }
            let id = ControlID.random()
            let folder = try db.folder(target.tenant, target.subtenant, target.repository)
            let waiting = try db.row(
                """
                SELECT COUNT(*) AS count, (SELECT objects FROM folder WHERE id = ?1) AS objects FROM deletion
                WHERE folder = ?1 AND \(DeletionRecord.isPending)
                """,
                [folder.id.text]
            )
            // Each names up to 1,000 objects.
            guard waiting?["count"] ?? 0 < Self.mostDeletions + (waiting?["objects"] as Int? ?? 0) / 500 else {
                throw HawserError(
                    .tooManyRequests,
                    "More deletions wait than this server keeps for one folder.",
                    isRetryable: true,
                    retryAfter: .seconds(600)
                )
            }
            let repository = try db.one("repository", id: target.repository, what: "repository").map(
                RepositoryRecord.init
            )
            let days = min(max(0, repository.settings.insiderProtectionDays), 36_500)
            try db.insert(
                "deletion",
                [
                    "id": id.text, "folder": folder.id.text, "session": target.session.text,
                    "keys": try jsonText(keys), "count": keys.count, "pending": pending,
                    "requested": transaction.now.milliseconds,
                    "notBefore": (transaction.now + .seconds(days * 86_400)).milliseconds,
                    "state": DeletionRecord.State.waiting.rawValue,
                ]
            )
            try db.run("UPDATE folder SET pending = pending + ? WHERE id = ?", [pending, folder.id.text])
            try transaction.audit("deletion.request", folder.id.text, "\(id): \(keys.count) objects")
            transaction.publish(.tenant(target.tenant))
            return try db.one("deletion", id: id, what: "deletion").map(DeletionRecord.init)
        }
    }

    /// Those to be carried out now. After a restore of the database, old ones wait for the provider's approval.
    ///
    /// - Parameter skipping: folders that are not looked at now.
    public func dueDeletions(limit: Int = 100, skipping: [ControlID] = []) async throws -> [DeletionRecord] {
        let now = clock.steady.milliseconds
        return try await read { db in
            let recovery = try Setting.recovery.read(db)
            let first = recovery.map { $0.isApproved ? Int64.min : $0.since.milliseconds } ?? .min
            return try db.rows(
                """
                SELECT * FROM deletion WHERE state = 'waiting' AND notBefore <= ? AND requested > ?
                    AND folder NOT IN (SELECT value FROM json_each(?)) AND NOT \(Self.hasTickets)
                ORDER BY measured IS NULL, notBefore LIMIT ?
                """,
                [now, first, try jsonText(skipping.map(\.text)), limit]
            ).map(DeletionRecord.init)
        }
    }

    // What is reserved and not yet booked waits: its bytes are not among those that come back.
    private static let hasTickets = """
        EXISTS (
            SELECT 1 FROM json_each(deletion.keys) AS gone
            JOIN reservation ON reservation.folder = deletion.folder AND reservation.key = gone.value
            WHERE reservation.state = 'reserved'
        )
        """

    /// - Returns: `nil` when it can't be carried out now: it is done or held, or objects of it are only reserved.
    func waitingDeletion(_ id: ControlID) async throws -> DeletionRecord? {
        try await read { db in
            try db.row(
                "SELECT * FROM deletion WHERE id = ? AND state = 'waiting' AND NOT \(Self.hasTickets)",
                [id.text]
            ).map(DeletionRecord.init)
        }
    }

    /// Of a folder, what is not done, in the order of ids.
    func pendingDeletions(_ folder: ControlID, after: ControlID?, limit: Int) async throws -> [DeletionRecord] {
        try await read { db in
            try db.rows(
                """
                SELECT * FROM deletion WHERE id IN (
                    SELECT id FROM deletion WHERE folder = ? AND \(DeletionRecord.isPending) AND id > ? ORDER BY id LIMIT ?
                ) ORDER BY id
                """,
                [folder.text, after?.text ?? "", limit]
            ).map(DeletionRecord.init)
        }
    }

    /// The objects stay, and tenants see them again.
    ///
    /// - Throws: `conflict` when it is not kept any more: some of its objects may be gone.
    public func rejectDeletion(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let row = try transaction.db.one("deletion", id: id, what: "deletion").row
            let deletion = try DeletionRecord(row)
            guard deletion.state == .held || deletion.state == .waiting && transaction.now < deletion.notBefore else {
                throw HawserError(.conflict, "The deletion is being carried out, or done.", place: id.text)
            }
            let folder = try transaction.db.one("folder", id: deletion.folder, what: "folder").map(FolderRecord.init)
            try transaction.db.run("DELETE FROM deletion WHERE id = ?", [id.text])
            try transaction.db.run(
                "UPDATE folder SET pending = max(0, pending - ?) WHERE id = ?",
                [row["pending"] as Int, folder.id.text]
            )
            try transaction.audit("deletion.reject", folder.id.text, "\(id): \(deletion.keys.count) objects")
            transaction.publish(.tenant(folder.tenant))
        }
    }

    public func approveDeletion(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let deletion = try transaction.db.one("deletion", id: id, what: "deletion").map(DeletionRecord.init)
            guard deletion.state == .held else { return }
            try transaction.db.update(
                "deletion",
                id: id,
                ["state": DeletionRecord.State.waiting.rawValue, "isApproved": true]
            )
            try transaction.audit("deletion.approve", id.text)
            transaction.publish(.general)
        }
    }

    /// The objects are gone, all versions of them. Done again, it changes nothing.
    ///
    /// - Parameter freed: their bytes.
    public func finishDeletion(_ id: ControlID, freed: Int) async throws {
        try checkBytes(freed)
        try await write { transaction in
            let db = transaction.db
            let row = try db.one("deletion", id: id, what: "deletion").row
            let deletion = try DeletionRecord(row)
            guard deletion.state != .done else { return }
            let folder = try db.one("folder", id: deletion.folder, what: "folder").map(FolderRecord.init)
            try transaction.forgetStored(deletion.keys, in: folder)
            // The keys need not be kept: the log says how many there were.
            try db.update("deletion", id: id, ["state": DeletionRecord.State.done.rawValue, "keys": "[]"])
            try db.run(
                "UPDATE folder SET pending = max(0, pending - ?) WHERE id = ?",
                [row["pending"] as Int, folder.id.text]
            )
            try transaction.apply(.init(committed: -min(freed, folder.committed)), to: folder)
            try db.refreshOver(folder.id)
            try transaction.audit("deletion.done", folder.id.text, "\(id): \(freed) bytes")
            transaction.publish(.tenant(folder.tenant))
        }
    }
}

/// How a deletion goes on, so that it can be broken off anywhere and gives back each byte once.
extension ConfigurationDatabase {
    /// Notes what the objects of a deletion hold before the first of them goes. A full listing of the folder forgets it,
    /// for that corrects the ledger by itself.
    ///
    /// - Returns: `nil` when another deletion in the folder was begun and is to be ended before; else what was noted
    ///   first.
    func measureDeletion(_ id: ControlID, bytes: Int) async throws -> Int? {
        try checkBytes(bytes)
        return try await write { transaction in
            let db = transaction.db
            let row = try db.one("deletion", id: id, what: "deletion").row
            if let measured = row["measured"] as Int? { return measured }
            let isSecond = try db.exists(
                "SELECT 1 FROM deletion WHERE folder = ? AND id <> ? AND measured IS NOT NULL AND state = 'waiting'",
                [row["folder"] as String, id.text]
            )
            guard !isSecond else { return nil }
            try db.update("deletion", id: id, ["measured": bytes])
            return bytes
        }
    }

    /// Some objects could not be deleted; the others are gone.
    ///
    /// - Parameters:
    ///   - freed: bytes of those that are gone.
    ///   - keys: what is left.
    func shrinkDeletion(_ id: ControlID, freed: Int, keys: [String]) async throws {
        try checkBytes(freed)
        try await write { transaction in
            let db = transaction.db
            let deletion = try db.one("deletion", id: id, what: "deletion").map(DeletionRecord.init)
            guard deletion.state != .done else { return }
            let folder = try db.one("folder", id: deletion.folder, what: "folder").map(FolderRecord.init)
            let left = Set(keys)
            try transaction.forgetStored(deletion.keys.filter { !left.contains($0) }, in: folder)
            try db.update("deletion", id: id, ["keys": try jsonText(keys), "measured": nil])
            try transaction.apply(.init(committed: -min(freed, folder.committed)), to: folder)
            try db.refreshOver(folder.id)
            try transaction.audit("deletion.part", folder.id.text, "\(id): \(freed) bytes, \(keys.count) objects left")
            transaction.publish(.tenant(folder.tenant))
        }
    }

    /// Holds what looks like a spree: within a day, more than `most` objects of a folder and more than a share of all. What
    /// is being carried out already goes on.
    ///
    /// - Parameters:
    ///   - folder: `nil`: looks at all.
    ///   - percent: the share; with 100 nothing is held.
    /// - Returns: those that are held from now on.
    func holdSprees(in folder: ControlID? = nil, percent: Int, most: Int) async throws -> [DeletionView] {
        guard percent < 100 else { return [] }
        let now = clock.steady
        let found = try await read { try Set($0.sprees(in: folder, percent: percent, most: most, now: now)) }
        guard !found.isEmpty else { return [] }
        try await write { try $0.hold(found) }
        return try await heldDeletions().filter { found.contains($0.id) }
    }
}

extension Database {
    /// From the index alone: the keys would be megabytes.
    fileprivate func sprees(in folder: ControlID?, percent: Int, most: Int, now: Moment) throws -> [ControlID] {
        if let folder {
            let all: Int? = try first(
                "SELECT SUM(count) FROM deletion WHERE folder = ? AND NOT isApproved",
                [folder.text]
            ) { $0[0] }
            guard all ?? 0 > most else { return [] }
        }
        let day: Int64 = 86_400_000
        let those = folder == nil ? "IN (SELECT folder FROM deletion WHERE state = 'waiting')" : "= ?"
        let rows = try rows(
            """
            SELECT deletion.id, deletion.folder, deletion.requested, deletion.notBefore, deletion.count, folder.objects,
                deletion.state = 'waiting' AND deletion.measured IS NULL AS canWait
            FROM deletion JOIN folder ON folder.id = deletion.folder
            WHERE NOT deletion.isApproved AND deletion.folder \(those) ORDER BY deletion.folder, deletion.requested
            """,
            folder.map { [$0.text] } ?? []
        )
        var spree: [ControlID] = []
        var unlisted: [String: Int] = [:]
        var (first, taken, sum) = (0, 0, 0)
        for (index, row) in rows.enumerated() {
            let folder: String = row["folder"]
            while first < index,
                rows[first]["folder"] as String != folder
                    || (row["requested"] as Int64) - (rows[first]["requested"] as Int64) >= day
            {
                sum -= rows[first]["count"] as Int
                first += 1
            }
            sum += row["count"] as Int
            guard sum > most else { continue }
            if let objects = row["objects"] as Int? {
                func isSpree(of all: Int) -> Bool { Double(sum) * 100 > Double(all) * Double(percent) }
                guard isSpree(of: objects) else { continue }
                let others = try unlisted[folder] ?? unlistedObjects(folder)
                unlisted[folder] = others
                guard isSpree(of: objects + others) else { continue }
            } else if (row["notBefore"] as Int64) > now.milliseconds {
                // Nobody knows yet how many there are; the next listing tells.
                continue
            }
            for row in rows[max(first, taken)...index] where row["canWait"] { spree.append(try row.id("id")) }
            taken = index + 1
        }
        return spree
    }

    /// That sessions have told of and no listing has counted.
    private func unlistedObjects(_ folder: String) throws -> Int {
        try row(
            """
            SELECT COUNT(*) AS count FROM reservation JOIN folder ON folder.id = reservation.folder
            WHERE reservation.folder = ? AND state = 'committed' AND (listed = 0 OR isListing)
            """,
            [folder]
        )?["count"] ?? 0
    }
}

extension Transaction {
    fileprivate func hold(_ deletions: some Sequence<ControlID>) throws {
        for id in deletions {
            try db.run(
                "UPDATE deletion SET state = 'held' WHERE id = ? AND state = 'waiting' AND measured IS NULL",
                [id.text]
            )
            if db.changesCount > 0 { try audit("deletion.hold", id.text) }
        }
    }
}

extension Transaction {
    /// Nobody who asks for a ticket is told any more that these are stored. With one that is still good an object can be put
    /// again, so that its bytes are reserved until that has ended, and a look at the storage tells.
    fileprivate func forgetStored(_ keys: [String], in folder: FolderRecord) throws {
        let those = "folder = ? AND state = 'committed' AND key IN (SELECT value FROM json_each(?))"
        let place: StatementArguments = [folder.id.text, try jsonText(keys)]
        let open = try db.row(
            "SELECT ifnull(sum(length), 0) AS bytes FROM reservation WHERE \(those) AND ticketEnd > ?",
            place + [now.milliseconds]
        )
        try db.run(
            """
            UPDATE reservation SET state = 'reserved', expires = ticketEnd, isOutside = 0, booked = 0, listed = 0, round = 0
            WHERE \(those) AND ticketEnd > ?
            """,
            place + [now.milliseconds]
        )
        try db.run("DELETE FROM reservation WHERE \(those)", place)
        try apply(.init(reserved: open?["bytes"] ?? 0), to: folder)
    }
}
