import GRDB
import HawserControl
import HawserFormat

extension ConfigurationDatabase {
    /// All that a session knows of its tenant, from one moment. One read, as it is made for each stream that hears of a
    /// change.
    func state(of session: SessionRecord) async throws -> SessionState {
        let wall = clock.wall
        return try await read { db in
            let tenant = try db.one("tenant", id: session.tenant, what: "tenant").map(TenantRecord.init)
            return SessionState(
                serverTime: wall.seconds,
                lease: LeaseState(
                    isEnabled: tenant.isEnabled,
                    expiresIn: tenant.leaseEnd.map { Int(($0 - wall) / .seconds(1)) }
                ),
                repositories: try db.repositories(of: session),
                maintenance: try Setting.maintenance.read(db),
                bandwidth: tenant.settings.bandwidth
            )
        }
    }
}

extension Database {
    fileprivate func repositories(of session: SessionRecord) throws -> [RepositoryState] {
        try rows(
            """
            SELECT repository.*, folder.generation AS generation FROM folder JOIN repository ON repository.id = folder.repository
            WHERE folder.tenant = ? AND IFNULL(folder.subtenant, '') = ? ORDER BY repository.name
            """,
            [session.tenant.text, session.subtenant?.text ?? ""]
        ).map { row in
            let repository = try RepositoryRecord(row)
            return RepositoryState(
                repository: repository.id,
                name: repository.name,
                quota: try Account(self, session.tenant, session.subtenant, repository.id).quota,
                mode: repository.settings.mode,
                credentialsGeneration: row["generation"]
            )
        }
    }
}
