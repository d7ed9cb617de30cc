import GRDB
import HawserControl

/// When machines backed up last: each for itself, as one that does hides nothing of others.
extension ConfigurationDatabase {
    /// Machines that back up, of those that may.
    private static let backingUp = """
        device.revoked IS NULL AND device.backsUpSince IS NOT NULL
            AND IFNULL((SELECT isEnabled FROM subtenant WHERE id = device.subtenant), 1)
        """

    /// Of each tenant with its subtenants, by the wall clock. Those whose machines made none are left out.
    func lastBackups() async throws -> [ControlID: LastBackups] {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT tenant, MAX(lastBackup) AS latest, MIN(IFNULL(lastBackup, 0)) FILTER (WHERE \(Self.backingUp)) AS oldest
                FROM device GROUP BY tenant HAVING latest IS NOT NULL
                """
            )
            return Dictionary(
                uniqueKeysWithValues: try rows.map { row in
                    let oldest = row.moment("oldest").flatMap { $0.milliseconds == 0 ? nil : $0 }
                    return (
                        try row.id("tenant"),
                        LastBackups(latest: Moment(milliseconds: row["latest"]), oldest: oldest)
                    )
                }
            )
        }
    }

    /// Machines whose last backup was long ago, and tenants and subtenants of whose machines none has begun to back up.
    func backupAlarms(days: Int) async throws -> [ProviderAlarm] {
        let end = (clock.wall - .seconds(days * 86_400)).milliseconds
        return try await read { db in
            let none = try db.rows(
                """
                SELECT tenant.name AS tenant, NULL AS subtenant,
                    (SELECT MAX(lastBackup) FROM device WHERE device.tenant = tenant.id) AS last
                FROM tenant WHERE isEnabled AND IFNULL(last, created) <= ?1
                    AND NOT EXISTS (SELECT 1 FROM device WHERE device.tenant = tenant.id AND \(Self.backingUp))
                UNION ALL
                SELECT tenant.name, subtenant.name,
                    (SELECT MAX(lastBackup) FROM device WHERE tenant = tenant.id AND subtenant = subtenant.id) AS last
                FROM subtenant JOIN tenant ON tenant.id = subtenant.tenant
                WHERE tenant.isEnabled AND subtenant.isEnabled AND IFNULL(last, subtenant.created) <= ?1
                    AND EXISTS (SELECT 1 FROM folder WHERE tenant = tenant.id AND subtenant = subtenant.id)
                    AND NOT EXISTS (
                        SELECT 1 FROM device
                        WHERE device.tenant = tenant.id AND device.subtenant = subtenant.id AND \(Self.backingUp)
                    )
                ORDER BY 1, 2
                """,
                [end]
            )
            // Those of one name are one alarm, of which the first is told.
            let behind = try db.rows(
                """
                SELECT tenant.name AS tenant, subtenant.name AS subtenant, device.name AS machine, device.id,
                    device.lastBackup AS last
                FROM device JOIN tenant ON tenant.id = device.tenant LEFT JOIN subtenant ON subtenant.id = device.subtenant
                WHERE tenant.isEnabled AND \(Self.backingUp) AND IFNULL(device.lastBackup, device.backsUpSince) <= ?
                ORDER BY 1, 2, 3, last
                """,
                [end]
            )
            return none.map { ProviderAlarm(noBackup: $0, of: "") }
                + behind.map { ProviderAlarm(noBackup: $0, of: " of this machine (\($0["id"] as String))") }
        }
    }
}

/// A tenant's machines, by the wall clock.
struct LastBackups: Sendable {
    /// Of all of them.
    var latest: Moment
    /// The last one of that machine whose last one was longest ago; `nil` when one that backs up has none yet, or none
    /// backs up any more.
    var oldest: Moment?
}

extension ProviderAlarm {
    fileprivate init(noBackup row: Row, of whom: String) {
        let machine = (row["machine"] as String?).map { ": \($0)" } ?? ""
        self.init(
            code: "no_backup",
            subject: [row["tenant"], row["subtenant"]].compactMap { $0 as String? }.joined(separator: "/") + machine,
            message: row.moment("last").map { "The last backup\(whom) was at \($0)." }
                ?? "There is no backup\(whom) yet."
        )
    }
}

extension Transaction {
    func noteSeen(_ device: ControlID, _ purpose: Purpose) throws {
        try db.run(
            "UPDATE device SET lastSeen = ?1, backsUpSince = IIF(?2, IFNULL(backsUpSince, ?1), backsUpSince) WHERE id = ?3",
            [wall.milliseconds, purpose == .backup, device.text]
        )
    }

    func noteBackup(of session: ControlID) throws {
        try db.run(
            "UPDATE device SET lastBackup = ? WHERE id = (SELECT device FROM session WHERE id = ?)",
            [wall.milliseconds, session.text]
        )
    }
}
