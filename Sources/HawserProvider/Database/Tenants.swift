import GRDB
public import HawserControl
public import HawserFormat

extension TenantRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        name = row["name"]
        isEnabled = row["isEnabled"]
        leaseEnd = row.moment("leaseEnd")
        settings = try row.json("settings")
        created = Moment(milliseconds: row["created"])
        deleteAfter = row.moment("deleteAfter")
        isDeleting = row["isDeleting"]
    }

    /// A prune is possible so long after the contract's end, so that a full tenant gets out.
    static let pruneAfterEnd = Duration.seconds(30 * 86_400)

    /// Why the tenant may not do this now. An expired contract never blocks a restore.
    ///
    /// - Parameter wall: The wall clock's time.
    public func refusal(_ purpose: Purpose, wall: Moment) -> HawserError? {
        guard isEnabled, deleteAfter == nil else {
            return HawserError(.tenantDisabled, "The provider has disabled this tenant.")
        }
        guard let leaseEnd, wall >= leaseEnd, !purpose.isReadOnly else { return nil }
        if purpose == .prune, wall < leaseEnd + Self.pruneAfterEnd { return nil }
        return HawserError(.leaseOver, "The contract with the provider is over; restores are still possible.")
    }
}

extension SubtenantRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        tenant = try row.id("tenant")
        name = row["name"]
        isEnabled = row["isEnabled"]
        created = Moment(milliseconds: row["created"])
        deleteAfter = row.moment("deleteAfter")
        isDeleting = row["isDeleting"]
    }

    var refusal: HawserError? {
        isEnabled ? nil : HawserError(.tenantDisabled, "The provider has disabled this subtenant.")
    }
}

extension ConfigurationDatabase {
    public func tenants() async throws -> [TenantRecord] {
        try await read { try $0.rows("SELECT * FROM tenant ORDER BY name").map(TenantRecord.init) }
    }

    public func tenant(_ id: ControlID) async throws -> TenantRecord {
        try await read { try $0.one("tenant", id: id, what: "tenant").map(TenantRecord.init) }
    }

    public func addTenant(
        _ name: String,
        leaseEnd: Moment? = nil,
        _ settings: TenantSettings = TenantSettings(),
        actor: String = "server"
    ) async throws -> TenantRecord {
        try await write(actor: actor) { transaction in
            let id = ControlID.random()
            try checkName(name)
            try Self.check(settings, name)
            try transaction.db.insert(
                "tenant",
                [
                    "id": id.text, "name": name, "isEnabled": true, "leaseEnd": leaseEnd?.milliseconds,
                    "settings": try jsonText(settings), "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.audit("tenant.add", name)
            return try transaction.db.one("tenant", id: id, what: "tenant").map(TenantRecord.init)
        }
    }

    private static func check(_ settings: TenantSettings, _ name: String) throws {
        guard (settings.mostSessions ?? 1) >= 1, (settings.bandwidth ?? 1) >= 1 else {
            throw HawserError(.invalidArgument, "A limit is 1 or more.", place: name)
        }
    }

    /// Disabling and the contract's end reach running sessions.
    ///
    /// - Parameter change: what is to be different; name, id and `created` stay.
    public func updateTenant(
        _ id: ControlID,
        actor: String = "server",
        _ change: @escaping @Sendable (inout TenantRecord) throws -> Void
    ) async throws -> TenantRecord {
        try await write(actor: actor) { [sessions] transaction in
            let old = try transaction.db.one("tenant", id: id, what: "tenant").map(TenantRecord.init)
            var new = old
            try change(&new)
            try Self.check(new.settings, old.name)
            try transaction.db.update(
                "tenant",
                id: id,
                [
                    "isEnabled": new.isEnabled, "leaseEnd": new.leaseEnd?.milliseconds,
                    "settings": try jsonText(new.settings), "deleteAfter": new.deleteAfter?.milliseconds,
                ]
            )
            if new.deleteAfter != old.deleteAfter {
                let end = new.deleteAfter.map { transaction.now + ($0 - transaction.wall) }
                try transaction.db.update("tenant", id: id, ["keptUntil": end?.milliseconds])
            }
            try transaction.audit("tenant.update", old.name, Self.differences(old, new))
            transaction.publish(.tenant(id))
            let leaves = old.isEnabled && (!new.isEnabled || new.deleteAfter != nil)
            if leaves {
                try Self.markSharedKeys(of: id, transaction)
                try transaction.revokeCredentials(tenant: id, subtenant: nil)
            }
            if old.settings.reachesSubtenants, !new.settings.reachesSubtenants {
                try transaction.revokeCredentialsOfSubtenants(tenant: id)
            }
            try transaction.endRefusedSessions(of: new, sessions)
            return new
        }
    }

    private static func differences(_ old: TenantRecord, _ new: TenantRecord) throws -> String {
        var parts: [String] = []
        if old.isEnabled != new.isEnabled { parts.append(new.isEnabled ? "enabled" : "disabled") }
        if old.leaseEnd != new.leaseEnd { parts.append("lease end \(new.leaseEnd?.description ?? "none")") }
        if old.deleteAfter != new.deleteAfter {
            parts.append("delete after \(new.deleteAfter?.description ?? "never")")
        }
        if old.settings != new.settings { parts.append(try jsonText(new.settings)) }
        return parts.joined(separator: ", ")
    }

    /// With `shared` access the tenant knows the storage's own key: only a new one keeps it out.
    private static func markSharedKeys(of tenant: ControlID, _ transaction: Transaction) throws {
        let rows = try transaction.db.rows(
            """
            SELECT DISTINCT repository.* FROM repository JOIN folder ON folder.repository = repository.id
            WHERE folder.tenant = ?
            """,
            [tenant.text]
        )
        for repository in try rows.map(RepositoryRecord.init) where repository.settings.access == .shared {
            try transaction.db.update("storage", id: repository.storage, ["keyMustBeRotated": true])
            try transaction.audit("storage.keyMustBeRotated", repository.storage.text)
        }
    }

    /// Removed ones, which can have the name of another, come last.
    public func subtenants(of tenant: ControlID) async throws -> [SubtenantRecord] {
        try await read {
            try $0.rows(
                "SELECT * FROM subtenant WHERE tenant = ? ORDER BY deleteAfter IS NOT NULL, name, created",
                [tenant.text]
            ).map(SubtenantRecord.init)
        }
    }

    public func addSubtenant(
        _ name: String,
        of tenant: ControlID,
        actor: String = "server"
    ) async throws -> SubtenantRecord {
        try await write(actor: actor) { transaction in
            let id = ControlID.random()
            try checkName(name)
            let owner = try transaction.db.one("tenant", id: tenant, what: "tenant").map(TenantRecord.init)
            try transaction.db.insert(
                "subtenant",
                [
                    "id": id.text, "tenant": tenant.text, "name": name, "isEnabled": true,
                    "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.audit("subtenant.add", "\(owner.name)/\(name)")
            return try transaction.db.one("subtenant", id: id, what: "subtenant").map(SubtenantRecord.init)
        }
    }

    public func setSubtenant(_ id: ControlID, isEnabled: Bool, actor: String = "server") async throws {
        try await write(actor: actor) { [sessions] transaction in
            let subtenant = try transaction.db.one("subtenant", id: id, what: "subtenant").map(SubtenantRecord.init)
            guard subtenant.deleteAfter == nil else { throw Self.wasRemoved(subtenant.name) }
            try transaction.db.update("subtenant", id: id, ["isEnabled": isEnabled])
            try transaction.audit(isEnabled ? "subtenant.enable" : "subtenant.disable", subtenant.name)
            transaction.publish(.tenant(subtenant.tenant))
            if !isEnabled { try transaction.endSessions(ofSubtenant: subtenant, sessions) }
        }
    }
}
