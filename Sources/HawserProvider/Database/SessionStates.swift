import GRDB
import HawserControl
import HawserFormat

extension ConfigurationDatabase {
    /// All that a session knows of its tenant, from one moment. One read, as it is made for each stream that hears of a
    /// change.
    func state(of session: SessionRecord) async throws -> SessionState {
        let wall = clock.wall
        return try await read { db in
            // Only what is needed of the settings: decoding them took most of the time.
            let tenant = try db.row(
                "SELECT isEnabled, leaseEnd, json_extract(settings, '$.bandwidth') AS bandwidth FROM tenant WHERE id = ?",
                [session.tenant.text]
            )
            guard let tenant else {
                throw HawserError(.notFound, "There is no such tenant.", place: session.tenant.text)
            }
            return SessionState(
                serverTime: wall.seconds,
                lease: LeaseState(
                    isEnabled: tenant["isEnabled"],
                    expiresIn: tenant.moment("leaseEnd").map { Int(($0 - wall) / .seconds(1)) }
                ),
                repositories: try db.repositories(of: session),
                maintenance: try Setting.maintenance.read(db),
                bandwidth: tenant["bandwidth"]
            )
        }
    }
}

extension Database {
    fileprivate func repositories(of session: SessionRecord) throws -> [RepositoryState] {
        try rows(
            """
            SELECT repository.id, repository.name, json_extract(repository.settings, '$.mode') AS mode, folder.generation,
                EXISTS (SELECT 1 FROM deletion WHERE folder = folder.id AND \(DeletionRecord.isPending)) AS isDeleting
            FROM folder JOIN repository ON repository.id = folder.repository
            WHERE folder.tenant = ? AND IFNULL(folder.subtenant, '') = ? ORDER BY repository.name
            """,
            [session.tenant.text, session.subtenant?.text ?? ""]
        ).map { row in
            let repository = try row.id("id")
            return RepositoryState(
                repository: repository,
                name: row["name"],
                quota: try Account(self, session.tenant, session.subtenant, repository).quota,
                mode: try row.choice("mode"),
                credentialsGeneration: row["generation"],
                hasPendingDeletions: row["isDeleting"]
            )
        }
    }
}
