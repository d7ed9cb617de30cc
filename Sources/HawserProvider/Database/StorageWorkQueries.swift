import GRDB
import HawserControl
import HawserFormat

/// What the work on storages asks the database.
extension ConfigurationDatabase {
    /// Folders whose daily listing is due. Each has a second of the day of its own, and waits for up to a day for a moment
    /// in which no session has leases there; one in which there were such is listed again in the next such moment.
    ///
    /// Those that wait for a listing after a restore of the database come first, as soon as a listing opens them.
    func foldersToReconcile() async throws -> [ControlID] {
        let (epoch, wall, steady) = (epoch, clock.wall, clock.steady)
        let ticketLife = Duration.seconds(ledgerSettings.ticketLifetime + ledgerSettings.ticketGrace)
        return try await read { db in
            let opens = try Setting.recovery.read(db).map { steady >= $0.since + ticketLife } ?? false
            var (first, others): ([ControlID], [ControlID]) = ([], [])
            let rows = try db.rows(
                """
                SELECT folder.*, folder.epoch AS opened,
                    EXISTS (SELECT 1 FROM lease WHERE lease.folder = folder.id) AS isLeased
                FROM folder JOIN tenant ON tenant.id = folder.tenant
                WHERE tenant.deleteAfter IS NULL ORDER BY folder.reconciled
                """
            )
            for row in rows {
                let folder = try FolderRecord(row)
                if opens, (row["opened"] as Int64) < epoch {
                    first.append(folder.id)
                } else if folder.isListingOverdue(wall)
                    || !row["isLeased"] && (row["isLoose"] || folder.isListingDue(wall))
                {
                    others.append(folder.id)
                }
            }
            return first + others
        }
    }

    /// Whether tickets or credentials of the tenant could still be used.
    func canStillStore(_ tenant: ControlID) async throws -> Bool {
        let now = clock.steady.milliseconds
        return try await read { db in
            try db.exists(
                """
                SELECT 1 FROM folder WHERE tenant = ?1 AND (storableUntil > ?2 OR
                    EXISTS (SELECT 1 FROM reservation WHERE folder = folder.id AND (expires > ?2 OR ticketEnd > ?2)))
                """,
                [tenant.text, now]
            )
        }
    }

    /// Forgets a removed tenant whose folders a listing has shown to be empty. The audit log and what bills are made of stay.
    /// Done again, it changes nothing.
    ///
    /// - Throws: `conflict` when it is not removed, or has another folder.
    func forgetTenant(_ id: ControlID, folders: Set<ControlID>) async throws {
        let holder = key
        try await writeUsage()
        try await write { [sessions] transaction in
            let db = transaction.db
            guard let row = try db.row("SELECT * FROM tenant WHERE id = ?", [id.text]) else { return }
            let tenant = try TenantRecord(row)
            let own = try db.rows("SELECT id FROM folder WHERE tenant = ?", [id.text]).map { try $0.id("id") }
            guard let end = tenant.deleteAfter, end <= transaction.wall, folders == Set(own) else {
                throw HawserError(
                    .conflict,
                    "The tenant is not removed, or has got another folder.",
                    place: tenant.name
                )
            }
            try transaction.endRefusedSessions(of: tenant, sessions)
            for folder in own { try transaction.forgetFolder(folder, holder.key) }
            for table in ["session", "device", "joinCode", "subtenant"] {
                try db.run("DELETE FROM \(table) WHERE tenant = ?", [id.text])
            }
            try db.run("DELETE FROM tenant WHERE id = ?", [id.text])
            try transaction.audit("tenant.forget", tenant.name, "\(own.count) folders")
            transaction.publish(.tenant(id))
        }
    }
}

extension Transaction {
    /// One that a listing has shown to be empty.
    fileprivate func forgetFolder(_ folder: ControlID, _ key: ProviderKey) throws {
        for row in try db.rows("SELECT id FROM credential WHERE folder = ?", [folder.text]) {
            try setSecret("credential/\(row["id"] as String)", nil, key)
        }
        try db.run("INSERT INTO formerFolder \(ConfigurationDatabase.folderNames) WHERE folder.id = ?", [folder.text])
        for table in ["credential", "deletion", "reservation", "lease", "work"] {
            try db.run("DELETE FROM \(table) WHERE folder = ?", [folder.text])
        }
        try db.run("DELETE FROM folder WHERE id = ?", [folder.text])
        try audit("folder.empty", folder.text, "a listing shows that nothing is left")
    }
}

extension FolderRecord {
    private static let day: Int64 = 86_400_000

    /// The folder's own time of the day, milliseconds. Ids are random, so folders spread over the day.
    var listingTime: Int64 {
        Int64(id.text.utf8.reduce(UInt64(0)) { ($0 &* 31 &+ UInt64($1)) % UInt64(Self.day) })
    }

    /// Whether it is to be listed beside leases too.
    func isListingOverdue(_ wall: Moment) -> Bool {
        isListingDue(wall) && reconciled.map { wall - $0 > .seconds(2 * 86_400) } ?? true
    }

    /// A listing from the future says that the clock was set back: it does not count.
    func isListingDue(_ wall: Moment) -> Bool {
        guard let reconciled, reconciled <= wall else { return true }
        let time = wall.milliseconds - listingTime
        let last = time - ((time % Self.day) + Self.day) % Self.day + listingTime
        return reconciled.milliseconds < last
    }
}
