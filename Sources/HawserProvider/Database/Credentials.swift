import GRDB
public import HawserControl
public import HawserFormat

extension CredentialRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        folder = try row.id("folder")
        purpose = try row.choice("purpose")
        generation = row["generation"]
        issued = Moment(milliseconds: row["issued"])
        expires = Moment(milliseconds: row["expires"])
    }
}

/// Credentials of the storage, kept sealed and used for the next session while they are fresh enough.
extension ConfigurationDatabase {
    private static func secretName(credential id: ControlID) -> String { "credential/\(id)" }

    /// - Returns: `nil` when none were issued, or they have expired.
    public func credential(folder: ControlID, purpose: Purpose) async throws -> (CredentialRecord, Secret)? {
        let (holder, now) = (key, clock.steady)
        return try await read { db in
            guard
                let row = try db.row(
                    """
                    SELECT credential.*, secret.sealed FROM credential
                    JOIN secret ON secret.name = 'credential/' || credential.id WHERE folder = ? AND purpose = ?
                    """,
                    [folder.text, purpose.rawValue]
                )
            else { return nil }
            let record = try CredentialRecord(row)
            guard now < record.expires else { return nil }
            return (record, try holder.key.open(row["sealed"], row: Self.secretName(credential: record.id)))
        }
    }

    /// Replaces those of the same folder and purpose; running sessions hear of it.
    public func setCredential(
        folder: ControlID,
        purpose: Purpose,
        _ secret: Secret,
        lifetime: Duration
    ) async throws -> CredentialRecord {
        let holder = key
        return try await write { transaction in
            let db = transaction.db
            let owner = try db.one("folder", id: folder, what: "folder").map(FolderRecord.init)
            let old = try db.row(
                "SELECT id FROM credential WHERE folder = ? AND purpose = ?",
                [folder.text, purpose.rawValue]
            )
            if let old { try transaction.removeCredential(old.id("id"), holder.key) }
            // One counter for the folder: it goes up also when the last ones were revoked.
            try db.run("UPDATE folder SET generation = generation + 1 WHERE id = ?", [folder.text])
            let generation: Int = try db.one("folder", id: folder, what: "folder").row["generation"]
            let id = ControlID.random()
            try db.insert(
                "credential",
                [
                    "id": id.text, "folder": folder.text, "purpose": purpose.rawValue, "generation": generation,
                    "issued": transaction.now.milliseconds, "expires": (transaction.now + lifetime).milliseconds,
                ]
            )
            try transaction.setSecret(Self.secretName(credential: id), secret, holder.key)
            if !purpose.isReadOnly { try transaction.noteStorable(folder, for: lifetime) }
            try transaction.audit("credential.issue", folder.text, "\(purpose.rawValue) \(generation)")
            transaction.publish(
                .credentials(
                    repository: owner.repository,
                    tenant: owner.tenant,
                    subtenant: owner.subtenant,
                    generation: generation
                )
            )
            return try db.one("credential", id: id, what: "credential").map(CredentialRecord.init)
        }
    }

    /// Credentials left for other programs: noted durably before they do.
    ///
    /// - Parameter lifetime: `nil`: they don't end, and the storage's key is to be made anew.
    func noteExport(
        folder: ControlID,
        purpose: Purpose,
        accessKeyID: String,
        lifetime: Duration?,
        actor: String
    ) async throws {
        try await write(actor: actor) { transaction in
            if let lifetime, !purpose.isReadOnly { try transaction.noteStorable(folder, for: lifetime) }
            let end = lifetime.map { "\(transaction.wall + $0)" } ?? "without an end"
            // The key's id, not its secret: the storage's own log names it too.
            try transaction.audit("credential.export", folder.text, "\(purpose) \(accessKeyID) until \(end)")
        }
    }

    /// How often credentials were issued for a folder.
    public func credentialsGeneration(folder: ControlID) async throws -> Int {
        try await read { try $0.one("folder", id: folder, what: "folder").row["generation"] }
    }
}

extension ConfigurationDatabase {
    /// Where credentials are to be ended at the storage.
    func foldersToRevoke() async throws -> [ControlID] {
        try await read { try $0.rows("SELECT id FROM folder WHERE mustRevoke").map { try $0.id("id") } }
    }

    /// What was issued before is dead or forgotten: the next session gets new credentials, and vaults that run ask for them.
    ///
    /// - Parameter isDead: whether the storage refuses it from now on.
    func noteRevoked(_ folder: ControlID, isDead: Bool) async throws {
        let holder = key
        try await write { transaction in
            try transaction.db.run("UPDATE folder SET mustRevoke = 0 WHERE id = ? AND mustRevoke", [folder.text])
            let wasDue = transaction.db.changesCount > 0
            if isDead { try transaction.db.update("folder", id: folder, ["storableUntil": nil]) }
            let rows = try transaction.db.rows("SELECT id FROM credential WHERE folder = ?", [folder.text])
            guard wasDue || !rows.isEmpty else { return }
            for row in rows { try transaction.removeCredential(row.id("id"), holder.key) }
            try transaction.audit("credential.revoke", folder.text, "\(rows.count)")
        }
    }
}

extension Transaction {
    fileprivate func noteStorable(_ folder: ControlID, for lifetime: Duration) throws {
        try db.run(
            "UPDATE folder SET storableUntil = MAX(IFNULL(storableUntil, 0), ?) WHERE id = ?",
            [(now + lifetime).milliseconds, folder.text]
        )
    }

    /// Ends at the storage, soon, what was issued for these folders.
    ///
    /// - Parameter subtenant: `nil`: also all of the tenant's subtenants.
    func revokeCredentials(tenant: ControlID, subtenant: ControlID?) throws {
        try db.run(
            "UPDATE folder SET mustRevoke = 1 WHERE tenant = ?1 AND (?2 IS NULL OR subtenant = ?2)",
            [tenant.text, subtenant?.text]
        )
    }

    /// As for the tenant itself, in all folders of its subtenants: it has had credentials for them too.
    func revokeCredentialsOfSubtenants(tenant: ControlID) throws {
        try db.run(
            "UPDATE folder SET mustRevoke = 1 WHERE tenant = ? AND subtenant IS NOT NULL",
            [tenant.text]
        )
    }

    /// Where credentials can still store what a session could not any more: over quota by a listing, or after the contract's
    /// end. Those that are revoked are no more, so that each is found once.
    func revokeCredentialsBeyondLimits() throws {
        try db.run(
            """
            UPDATE folder SET mustRevoke = 1 WHERE NOT mustRevoke AND id IN (
                SELECT folder.id FROM folder AS full
                JOIN folder ON folder.tenant = full.tenant AND folder.repository = full.repository
                    AND (full.subtenant IS NULL OR full.id = folder.id)
                JOIN credential ON credential.folder = folder.id
                WHERE full.isOver AND credential.purpose IN ('backup', 'full') AND credential.expires > ?1
                UNION ALL
                SELECT folder.id FROM tenant
                JOIN folder ON folder.tenant = tenant.id JOIN credential ON credential.folder = folder.id
                WHERE credential.expires > ?1 AND (
                    tenant.leaseEnd <= ?2 AND credential.purpose IN ('backup', 'full')
                    OR tenant.leaseEnd <= ?3 AND credential.purpose = 'prune'
                )
            )
            """,
            [now.milliseconds, wall.milliseconds, (wall - TenantRecord.pruneAfterEnd).milliseconds]
        )
    }

    /// Of all folders in the storage.
    func removeCredentials(storage: ControlID, _ key: ProviderKey) throws {
        let rows = try db.rows(
            """
            SELECT credential.id FROM credential JOIN folder ON folder.id = credential.folder
            JOIN repository ON repository.id = folder.repository WHERE repository.storage = ?
            """,
            [storage.text]
        )
        for row in rows { try removeCredential(row.id("id"), key) }
        if !rows.isEmpty { try audit("credential.remove", storage.text, "\(rows.count)") }
    }

    fileprivate func removeCredential(_ id: ControlID, _ key: ProviderKey) throws {
        try db.run("DELETE FROM credential WHERE id = ?", [id.text])
        try setSecret("credential/\(id)", nil, key)
    }
}
