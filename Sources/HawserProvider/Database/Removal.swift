import GRDB
public import HawserControl
import HawserFormat

/// A removed tenant with its subtenants, or one subtenant.
struct RemovedOwner: Sendable {
    var tenant: ControlID
    var subtenant: ControlID?

    var table: String { subtenant == nil ? "tenant" : "subtenant" }
    var id: ControlID { subtenant ?? tenant }

    func owns(_ folder: FolderRecord) -> Bool {
        folder.tenant == tenant && (subtenant == nil || folder.subtenant == subtenant)
    }
}

/// Who is removed is kept for a while, and can come back until the deletion begins.
extension ConfigurationDatabase {
    static func wasRemoved(_ name: String) -> HawserError {
        HawserError(.conflict, "It was removed. `tenant restore` or `subtenant restore` takes that back.", place: name)
    }

    private static func isBeingDeleted(_ name: String) -> HawserError {
        HawserError(.conflict, "Its data is being deleted already.", place: name)
    }

    /// In SQL: the days are over by both clocks, so that one that jumps ends nothing.
    private static func isDue(_ table: String) -> String {
        "(\(table).deleteAfter <= ?1 AND IFNULL(\(table).keptUntil, 0) <= ?2)"
    }

    /// Ends its sessions now; after `keep` everything is to be deleted.
    ///
    /// - Throws: `conflict` when the deletion has begun.
    public func removeTenant(_ id: ControlID, keep: Duration, actor: String = "server") async throws {
        let end = clock.wall + keep
        _ = try await updateTenant(id, actor: actor) { tenant in
            guard !tenant.isDeleting else { throw Self.isBeingDeleted(tenant.name) }
            tenant.isEnabled = false
            tenant.deleteAfter = end
        }
    }

    /// Takes a removal back: the tenant is enabled again, and its machines sign in as before.
    ///
    /// - Throws: `conflict` when it is not removed, or the deletion has begun.
    public func restoreTenant(_ id: ControlID, actor: String = "server") async throws -> TenantRecord {
        try await updateTenant(id, actor: actor) { tenant in
            guard tenant.deleteAfter != nil else { throw Self.wasNotRemoved(tenant.name) }
            guard !tenant.isDeleting else { throw Self.isBeingDeleted(tenant.name) }
            tenant.isEnabled = true
            tenant.deleteAfter = nil
        }
    }

    private static func wasNotRemoved(_ name: String) -> HawserError {
        HawserError(.conflict, "It is not removed.", place: name)
    }

    /// Ends its sessions now; after `keep` its folders are to be deleted, which go on counting for the tenant until then. The
    /// name becomes free.
    ///
    /// - Throws: `conflict` when the deletion has begun.
    public func removeSubtenant(_ id: ControlID, keep: Duration, actor: String = "server") async throws {
        try await write(actor: actor) { [sessions] transaction in
            let end = transaction.wall + keep
            let subtenant = try transaction.db.one("subtenant", id: id, what: "subtenant").map(SubtenantRecord.init)
            guard !subtenant.isDeleting else { throw Self.isBeingDeleted(subtenant.name) }
            try transaction.db.update(
                "subtenant",
                id: id,
                [
                    "isEnabled": false, "deleteAfter": end.milliseconds,
                    "keptUntil": (transaction.now + keep).milliseconds,
                ]
            )
            try transaction.audit("subtenant.remove", subtenant.name, "\(id): delete after \(end)")
            transaction.publish(.tenant(subtenant.tenant))
            try transaction.endSessions(ofSubtenant: subtenant, sessions)
        }
    }

    /// As `restoreTenant`.
    ///
    /// - Throws: `conflict` also when another has its name now.
    public func restoreSubtenant(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let subtenant = try transaction.db.one("subtenant", id: id, what: "subtenant").map(SubtenantRecord.init)
            guard subtenant.deleteAfter != nil else { throw Self.wasNotRemoved(subtenant.name) }
            guard !subtenant.isDeleting else { throw Self.isBeingDeleted(subtenant.name) }
            try transaction.db.update("subtenant", id: id, ["isEnabled": true, "deleteAfter": nil])
            try transaction.audit("subtenant.restore", subtenant.name, id.text)
            transaction.publish(.tenant(subtenant.tenant))
        }
    }

    /// Whose data is to be deleted now.
    func removedOwners() async throws -> [RemovedOwner] {
        let (wall, steady) = (clock.wall.milliseconds, clock.steady.milliseconds)
        return try await read { db in
            try db.rows(
                """
                SELECT id AS tenant, NULL AS subtenant FROM tenant WHERE \(Self.isDue("tenant"))
                UNION ALL
                SELECT tenant.id, subtenant.id FROM subtenant JOIN tenant ON tenant.id = subtenant.tenant
                WHERE \(Self.isDue("subtenant")) AND IFNULL(NOT \(Self.isDue("tenant")), 1)
                """,
                [wall, steady]
            ).map { RemovedOwner(tenant: try $0.id("tenant"), subtenant: try $0.optionalID("subtenant")) }
        }
    }

    /// Whether tickets or credentials of theirs could still be used.
    func canStillStore(_ owner: RemovedOwner) async throws -> Bool {
        let now = clock.steady.milliseconds
        return try await read { db in
            try db.exists(
                """
                SELECT 1 FROM folder WHERE tenant = ?1 AND (?2 IS NULL OR subtenant = ?2) AND (storableUntil > ?3 OR
                    EXISTS (SELECT 1 FROM reservation WHERE folder = folder.id AND (expires > ?3 OR ticketEnd > ?3)))
                """,
                [owner.tenant.text, owner.subtenant?.text, now]
            )
        }
    }

    /// From now on nobody can take the removal back.
    ///
    /// - Returns: `false` when somebody has done so meanwhile.
    func beginDeletion(of owner: RemovedOwner) async throws -> Bool {
        try await write { transaction in
            try transaction.db.run(
                "UPDATE \(owner.table) SET isDeleting = 1 WHERE \(Self.isDue(owner.table)) AND id = ?3",
                [transaction.wall.milliseconds, transaction.now.milliseconds, owner.id.text]
            )
            return transaction.db.changesCount > 0
        }
    }

    /// Forgets whose folders a listing has shown to be empty. The audit log and what bills are made of stay. Done again, it
    /// changes nothing.
    ///
    /// - Throws: `conflict` when their deletion has not begun, or they have another folder.
    func forget(_ owner: RemovedOwner, folders: Set<ControlID>) async throws {
        let holder = key
        try await writeUsage()
        try await write { [sessions] transaction in
            let db = transaction.db
            guard let row = try db.row("SELECT * FROM \(owner.table) WHERE id = ?", [owner.id.text]) else { return }
            let name: String = row["name"]
            let own = try db.rows("SELECT * FROM folder WHERE tenant = ?", [owner.tenant.text])
                .map(FolderRecord.init).filter(owner.owns)
            guard row["isDeleting"], folders == Set(own.map(\.id)) else {
                throw HawserError(.conflict, "It is not removed, or has got another folder.", place: name)
            }
            if owner.subtenant == nil {
                try transaction.endRefusedSessions(of: TenantRecord(row), sessions)
            } else {
                try transaction.endSessions(ofSubtenant: SubtenantRecord(row), sessions)
            }
            // Those of subtenants first: they give what they counted back to the tenant's.
            for folder in own.filter({ $0.subtenant != nil }) + own.filter({ $0.subtenant == nil }) {
                try transaction.forgetFolder(folder, holder.key)
            }
            for table in ["session", "device", "joinCode"] {
                try db.run("DELETE FROM \(table) WHERE \(owner.table) = ?", [owner.id.text])
            }
            if owner.subtenant == nil { try db.run("DELETE FROM subtenant WHERE tenant = ?", [owner.id.text]) }
            try db.run("DELETE FROM \(owner.table) WHERE id = ?", [owner.id.text])
            try transaction.audit("\(owner.table).forget", name, "\(own.count) folders")
            transaction.publish(.tenant(owner.tenant))
        }
    }
}

extension Transaction {
    /// One that a listing has shown to be empty. What it counted comes back to its tenant.
    fileprivate func forgetFolder(_ folder: FolderRecord, _ key: ProviderKey) throws {
        let id = folder.id.text
        for row in try db.rows("SELECT id FROM credential WHERE folder = ?", [id]) {
            try setSecret("credential/\(row["id"] as String)", nil, key)
        }
        let change = Change(committed: -folder.committed, reserved: -folder.reserved, outside: -folder.outside)
        try apply(change, to: folder)
        try db.refreshOver(folder.id)
        try db.run("INSERT INTO formerFolder \(ConfigurationDatabase.folderNames) WHERE folder.id = ?", [id])
        for table in ["credential", "deletion", "receipt", "reservation", "lease", "work"] {
            try db.run("DELETE FROM \(table) WHERE folder = ?", [id])
        }
        try db.run("DELETE FROM folder WHERE id = ?", [id])
        try audit("folder.empty", id, "a listing shows that nothing is left")
    }
}
