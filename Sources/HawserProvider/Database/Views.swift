import GRDB
import HawserControl

/// Records with the names that people know them by.
extension ConfigurationDatabase {
    /// Another subtenant may have the name of a removed one.
    private static let subtenantName =
        "subtenant.name || IIF(subtenant.deleteAfter IS NULL, '', ' (removed)') AS subtenantName"
    /// Of a folder.
    private static let owners = """
        JOIN tenant ON tenant.id = folder.tenant JOIN repository ON repository.id = folder.repository
        LEFT JOIN subtenant ON subtenant.id = folder.subtenant
        """

    func quotas(of tenant: ControlID?) async throws -> [QuotaView] {
        try await read { db in
            try db.rows(
                """
                SELECT folder.*, tenant.name AS tenantName, repository.name AS repositoryName,
                    \(Self.subtenantName), storage.settings AS storageSettings
                FROM folder \(Self.owners) JOIN storage ON storage.id = repository.storage
                WHERE ?1 IS NULL OR folder.tenant = ?1
                ORDER BY tenantName, repositoryName, subtenantName
                """,
                [tenant?.text]
            ).map { row in
                let folder = try FolderRecord(row)
                return QuotaView(
                    tenant: row["tenantName"],
                    subtenant: row["subtenantName"],
                    repository: row["repositoryName"],
                    folder: folder,
                    path: folder.path(in: try row.json("storageSettings"))
                )
            }
        }
    }

    /// Id, tenant, subtenant, repository.
    static let folderNames = "SELECT folder.id, tenant.name, subtenant.name, repository.name FROM folder \(owners)"

    /// Of all folders, also of those that are gone.
    func folderNames() async throws -> [FolderNames] {
        try await read { db in
            try db.rows(
                """
                SELECT * FROM formerFolder UNION ALL \(Self.folderNames) ORDER BY tenant, repository, subtenant
                """
            ).map { row in
                FolderNames(
                    folder: try row.id("id"),
                    tenant: row["tenant"],
                    subtenant: row["subtenant"],
                    repository: row["repository"]
                )
            }
        }
    }

    func deviceViews(of tenant: ControlID?) async throws -> [DeviceView] {
        try await read { db in
            try db.rows(
                """
                SELECT device.*, tenant.name AS tenantName, \(Self.subtenantName)
                FROM device JOIN tenant ON tenant.id = device.tenant
                LEFT JOIN subtenant ON subtenant.id = device.subtenant
                WHERE ?1 IS NULL OR device.tenant = ?1
                ORDER BY tenantName, subtenantName, device.name, device.created
                """,
                [tenant?.text]
            ).map { DeviceView(device: try DeviceRecord($0), tenant: $0["tenantName"], subtenant: $0["subtenantName"]) }
        }
    }

    func sessionViews(of tenant: ControlID?) async throws -> [SessionView] {
        let live = sessions
        return try await read { db in
            try db.rows(
                """
                SELECT session.*, tenant.name AS tenantName, subtenant.name AS subtenantName, device.name AS deviceName
                FROM session JOIN tenant ON tenant.id = session.tenant JOIN device ON device.id = session.device
                LEFT JOIN subtenant ON subtenant.id = session.subtenant
                WHERE session.ended IS NULL AND (?1 IS NULL OR session.tenant = ?1) ORDER BY session.fence
                """,
                [tenant?.text]
            ).map { row in
                let session = try SessionRecord(row)
                return SessionView(
                    // The memory knows of later requests.
                    session: live.session(session.id) ?? session,
                    tenant: row["tenantName"],
                    subtenant: row["subtenantName"],
                    device: row["deviceName"]
                )
            }
        }
    }

    func heldDeletions() async throws -> [DeletionView] { try await deletions("deletion.state = 'held'") }

    /// What insider protection keeps, and what is held.
    func keptDeletions() async throws -> [DeletionView] {
        try await deletions(
            "deletion.state = 'held' OR (deletion.state = 'waiting' AND deletion.notBefore > ?)",
            [clock.steady.milliseconds]
        )
    }

    private func deletions(
        _ condition: String,
        _ arguments: StatementArguments = []
    ) async throws -> [DeletionView] {
        try await read { db in
            try db.rows(
                """
                SELECT deletion.id, deletion.count, deletion.requested, deletion.notBefore, deletion.state,
                    tenant.name AS tenantName, \(Self.subtenantName), repository.name AS repositoryName
                FROM deletion JOIN folder ON folder.id = deletion.folder \(Self.owners)
                WHERE \(condition) ORDER BY deletion.requested
                """,
                arguments
            ).map { row in
                DeletionView(
                    id: try row.id("id"),
                    tenant: row["tenantName"],
                    subtenant: row["subtenantName"],
                    repository: row["repositoryName"],
                    objects: row["count"],
                    requested: Moment(milliseconds: row["requested"]),
                    notBefore: Moment(milliseconds: row["notBefore"]),
                    state: try row.choice("state")
                )
            }
        }
    }
}

/// Whose a folder is, or was.
struct FolderNames: Sendable {
    var folder: ControlID
    var tenant: String
    var subtenant: String?
    var repository: String
}
