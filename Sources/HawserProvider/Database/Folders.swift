import GRDB
public import HawserControl
import HawserFormat

extension FolderRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        repository = try row.id("repository")
        tenant = try row.id("tenant")
        subtenant = try row.optionalID("subtenant")
        limit = row["quota"]
        committed = row["committed"]
        reserved = row["reserved"]
        belowCommitted = row["belowCommitted"]
        belowReserved = row["belowReserved"]
        pending = row["pending"]
        unproven = row["unproven"]
        outside = row["outside"]
        reconciled = row.moment("reconciled")
        isOver = row["isOver"]
        refused = row["refused"]
    }
}

extension ConfigurationDatabase {
    /// Of all tenants, or of one with its subtenants.
    public func folders(of tenant: ControlID? = nil) async throws -> [FolderRecord] {
        try await read {
            try $0.rows(
                "SELECT * FROM folder WHERE ?1 IS NULL OR tenant = ?1 ORDER BY tenant, repository, subtenant",
                [tenant?.text]
            ).map(FolderRecord.init)
        }
    }

    public func folder(_ id: ControlID) async throws -> FolderRecord {
        try await read { try $0.one("folder", id: id, what: "folder").map(FolderRecord.init) }
    }

    /// - Throws: `notFound`: the tenant or subtenant has nothing in this repository.
    public func folder(tenant: ControlID, subtenant: ControlID?, repository: ControlID) async throws -> FolderRecord {
        try await read { try $0.folder(tenant, subtenant, repository) }
    }

    /// The folder, and the tenant's for a subtenant's.
    func account(_ folder: FolderRecord) async throws -> Account {
        try await read { try Account($0, folder.tenant, folder.subtenant, folder.repository) }
    }

    /// As tenants see it: for a subtenant, of whichever of its own and the tenant's quota leaves less.
    public func quota(tenant: ControlID, subtenant: ControlID?, repository: ControlID) async throws -> QuotaState {
        try await read { db in
            try Account(db, tenant, subtenant, repository).quota
        }
    }

    /// Sets the quota, and with the first one gives the tenant or subtenant its folder in the repository.
    ///
    /// - Parameter limit: Bytes, 0 or more; `nil` without a limit.
    /// - Throws: `accessDenied` when the storage's own key would be shared with a second tenant; `notFound` for a
    ///   subtenant whose tenant has nothing in this repository.
    public func setQuota(
        tenant: ControlID,
        subtenant: ControlID? = nil,
        repository: ControlID,
        limit: Int?,
        actor: String = "server"
    ) async throws -> FolderRecord {
        try await write(actor: actor) { transaction in
            let db = transaction.db
            guard (0...1 << 60).contains(limit ?? 0) else {
                throw HawserError(.invalidArgument, "A quota is 0 to \(1 << 60) bytes.")
            }
            let owner = try db.one("tenant", id: tenant, what: "tenant").map(TenantRecord.init)
            let place = try db.one("repository", id: repository, what: "repository").map(RepositoryRecord.init)
            if let subtenant {
                let record = try db.one("subtenant", id: subtenant, what: "subtenant").map(SubtenantRecord.init)
                guard record.tenant == tenant else {
                    throw HawserError(.notFound, "The tenant has no such subtenant.", place: subtenant.text)
                }
                guard record.deleteAfter == nil else { throw Self.wasRemoved(record.name) }
                _ = try db.folder(tenant, nil, repository)
            }
            if let id = try db.folderID(tenant, subtenant, repository) {
                try db.update("folder", id: id, ["quota": limit])
            } else {
                try Self.checkSharing(place, tenant, db)
                try db.insert(
                    "folder",
                    [
                        "id": ControlID.random().text, "repository": repository.text, "tenant": tenant.text,
                        "subtenant": subtenant?.text, "quota": limit, "epoch": try Setting.epoch.read(db) ?? 0,
                        // Its name is new, so it is empty.
                        "reconciled": transaction.wall.milliseconds, "objects": 0,
                    ]
                )
            }
            let text = limit.map(String.init) ?? "none"
            try transaction.audit("quota.set", owner.name, "\(subtenant?.text ?? "") \(place.name) \(text)")
            let folder = try db.folder(tenant, subtenant, repository)
            try db.refreshOver(folder.id)
            transaction.publish(.tenant(tenant))
            return folder
        }
    }

    /// Who has the key of a bucket reads whatever else lies there.
    private static func checkSharing(_ repository: RepositoryRecord, _ tenant: ControlID, _ db: Database) throws {
        let storages = try db.rows("SELECT * FROM storage").map(StorageRecord.init)
        guard let storage = storages.first(where: { $0.id == repository.storage }) else { return }
        let same = Set(storages.filter { $0.settings.isSameBucket(as: storage.settings) }.map(\.id))
        let others = try db.rows(
            """
            SELECT DISTINCT repository.* FROM folder JOIN repository ON repository.id = folder.repository
            WHERE folder.tenant <> ?
            """,
            [tenant.text]
        ).map(RepositoryRecord.init).filter { same.contains($0.storage) }
        guard !others.isEmpty,
            let shared = ([repository] + others).first(where: {
                $0.settings.access == .shared && !$0.settings.acceptsSharedBucket
            })
        else { return }
        throw HawserError(
            .accessDenied,
            "With access `shared` each tenant has the key of the whole bucket, and another tenant is in it. Use a "
                + "bucket of its own, `tickets` or gateway mode; or accept it with --accept-shared-bucket.",
            place: shared.name
        )
    }
}

extension Database {
    func folderID(_ tenant: ControlID, _ subtenant: ControlID?, _ repository: ControlID) throws -> ControlID? {
        try row(
            "SELECT id FROM folder WHERE tenant = ? AND repository = ? AND IFNULL(subtenant, '') = ?",
            [tenant.text, repository.text, subtenant?.text ?? ""]
        )?.id("id")
    }

    func folder(_ tenant: ControlID, _ subtenant: ControlID?, _ repository: ControlID) throws -> FolderRecord {
        try folder(tenant, subtenant, repository, FolderRecord.init)
    }

    func folder<Value>(
        _ tenant: ControlID,
        _ subtenant: ControlID?,
        _ repository: ControlID,
        _ make: (Row) throws -> Value
    ) throws -> Value {
        let found = try first(
            "SELECT * FROM folder WHERE tenant = ? AND repository = ? AND IFNULL(subtenant, '') = ?",
            [tenant.text, repository.text, subtenant?.text ?? ""],
            make
        )
        guard let found else {
            throw HawserError(.notFound, "The tenant has nothing in this repository.", place: repository.text)
        }
        return found
    }
}
