import GRDB
public import HawserControl
import HawserFormat

extension DeletionRecord {
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
    /// - Parameter pending: bytes of these objects, which go on counting until they are gone.
    /// - Returns: how many objects insider protection keeps for now.
    /// - Throws: `invalidArgument` for a key that is none of the format.
    public func requestDeletion(_ target: LedgerTarget, keys: [String], pending: Int = 0) async throws -> Int {
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
            let repository = try db.one("repository", id: target.repository, what: "repository").map(
                RepositoryRecord.init
            )
            let days = min(max(0, repository.settings.insiderProtectionDays), 36_500)
            try db.insert(
                "deletion",
                [
                    "id": id.text, "folder": folder.id.text, "session": target.session.text,
                    "keys": try jsonText(keys), "pending": pending, "requested": transaction.now.milliseconds,
                    "notBefore": (transaction.now + .seconds(days * 86_400)).milliseconds,
                    "state": DeletionRecord.State.waiting.rawValue,
                ]
            )
            try db.run("UPDATE folder SET pending = pending + ? WHERE id = ?", [pending, folder.id.text])
            try transaction.audit("deletion.request", folder.id.text, "\(id): \(keys.count) objects")
            return days == 0 ? 0 : keys.count
        }
    }

    /// What looks like a spree waits until the provider has looked at it.
    public func holdDeletion(_ id: ControlID) async throws {
        try await write { transaction in
            let deletion = try transaction.db.one("deletion", id: id, what: "deletion").map(DeletionRecord.init)
            guard deletion.state == .waiting else { return }
            try transaction.db.update("deletion", id: id, ["state": DeletionRecord.State.held.rawValue])
            try transaction.audit("deletion.hold", id.text)
        }
    }

    /// Those to be carried out now. After a restore of the database, old ones wait for the provider's approval.
    public func dueDeletions(limit: Int = 100) async throws -> [DeletionRecord] {
        let now = clock.steady.milliseconds
        return try await read { db in
            let recovery = try Setting.recovery.read(db)
            let first = recovery.map { $0.isApproved ? Int64.min : $0.since.milliseconds } ?? .min
            return try db.rows(
                """
                SELECT * FROM deletion WHERE state = 'waiting' AND notBefore <= ? AND requested > ?
                ORDER BY notBefore LIMIT ?
                """,
                [now, first, limit]
            ).map(DeletionRecord.init)
        }
    }

    public func heldDeletions() async throws -> [DeletionRecord] {
        try await read {
            try $0.rows("SELECT * FROM deletion WHERE state = 'held' ORDER BY requested").map(DeletionRecord.init)
        }
    }

    public func approveDeletion(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let deletion = try transaction.db.one("deletion", id: id, what: "deletion").map(DeletionRecord.init)
            guard deletion.state == .held else { return }
            try transaction.db.update("deletion", id: id, ["state": DeletionRecord.State.waiting.rawValue])
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
