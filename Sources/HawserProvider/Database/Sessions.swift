import GRDB
public import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension SessionRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        fence = row["fence"]
        tenant = try row.id("tenant")
        subtenant = try row.optionalID("subtenant")
        device = try row.id("device")
        purpose = try row.choice("purpose")
        agent = row["agent"]
        opened = Moment(milliseconds: row["opened"])
        lastRequest = Moment(milliseconds: row["lastRequest"])
        ended = row.moment("ended")
        problem = try row.optionalJSON("problem")
    }
}

public struct OpenedSession: Sendable {
    public var session: SessionRecord
    /// 256 random bits; the database has only their hash.
    public var token: [UInt8]
}

extension ConfigurationDatabase {
    /// The caller has checked the device's signature.
    ///
    /// - Parameter subtenant: into whose folder a machine of the tenant wants.
    /// - Throws: `notSignedIn`, `revoked`, `tenantDisabled`, `leaseOver`, `tooManySessions`, `maintenance`, `recovery`;
    ///   `accessDenied` and `notFound` for a subtenant's folder.
    public func openSession(
        device: ControlID,
        purpose: Purpose,
        agent: String,
        subtenant: String? = nil
    ) async throws -> OpenedSession {
        let token = randomBytes(32)
        let hash = sha256(token)
        let session = try await write(actor: device.text) { [sessions] transaction in
            let db = transaction.db
            var identity: Identity
            do {
                identity = try db.identity(device)
            } catch let error as HawserError where error.code == .notFound {
                throw HawserError(.notSignedIn, "The device is not known.")
            }
            if let subtenant { identity.subtenant = try transaction.reach(subtenant, identity, purpose) }
            try transaction.admit(identity, purpose)
            try db.insert(
                "session",
                [
                    "id": ControlID.random().text, "tenant": identity.tenant.id.text,
                    "subtenant": identity.subtenant?.id.text, "device": device.text, "purpose": purpose.rawValue,
                    "agent": String(agent.prefix(256)), "token": hash, "opened": transaction.now.milliseconds,
                    "lastRequest": transaction.now.milliseconds,
                ]
            )
            try transaction.noteSeen(device, purpose)
            guard let row = try db.row("SELECT * FROM session WHERE fence = ?", [db.lastInsertedRowID]) else {
                throw Row.damaged("session")
            }
            let session = try SessionRecord(row)
            transaction.afterCommit { sessions.insert(session, token: hash) }
            return session
        }
        return OpenedSession(session: session, token: token)
    }

    /// One look-up in memory; counts as the session's sign of life.
    ///
    /// - Throws: `notSignedIn` for an unknown token, the reason for a session that was ended, else `sessionOver`.
    public func session(token: [UInt8]) throws -> SessionRecord {
        try sessions.use(token: sha256(token))
    }

    /// Also one that ended a short while ago.
    public func session(_ id: ControlID) -> SessionRecord? { sessions.session(id) }

    public func liveSessions(of tenant: ControlID? = nil) -> [SessionRecord] {
        sessions.all.filter { $0.ended == nil && (tenant == nil || $0.tenant == tenant) }.sorted { $0.fence < $1.fence }
    }

    /// - Parameter problem: `nil` when the tenant closes it by itself.
    public func endSession(_ id: ControlID, _ problem: ControlProblem? = nil, actor: String = "server") async throws {
        try await write(actor: actor) { [sessions] transaction in
            guard let row = try transaction.db.row("SELECT * FROM session WHERE id = ?", [id.text]) else {
                throw HawserError(.notFound, "There is no such session.", place: id.text)
            }
            let session = try SessionRecord(row)
            guard session.ended == nil else { return }
            try transaction.end(session, problem, sessions)
            if problem != nil { try transaction.audit("session.end", id.text) }
        }
    }

    /// Ends those that were silent for 15 minutes, and those whose tenant's contract has ended meanwhile. Writes only
    /// when there are some.
    func endSilentSessions() async throws {
        defer { sessions.forgetEnded() }
        let (table, silent, wall) = (sessions, sessions.silent, clock.wall)
        let expired = try await read { try $0.tenantsBeyondTheirEnd(wall) }
        guard !silent.isEmpty || !expired.isEmpty else { return }
        try await write { transaction in
            let problem = ControlProblem(.sessionOver, "Nothing was heard of the session for 15 minutes.")
            for session in silent { try transaction.end(session, problem, table) }
            for tenant in expired { try transaction.endRefusedSessions(of: tenant, table) }
        }
    }
}

extension Database {
    /// That have sessions which write.
    fileprivate func tenantsBeyondTheirEnd(_ wall: Moment) throws -> [TenantRecord] {
        try rows(
            """
            SELECT DISTINCT tenant.*, session.purpose FROM session JOIN tenant ON tenant.id = session.tenant
            WHERE session.ended IS NULL AND tenant.leaseEnd <= ?
            """,
            [wall.milliseconds]
        ).compactMap { row in
            let tenant = try TenantRecord(row)
            return tenant.refusal(try row.choice("purpose"), wall: wall) == nil ? nil : tenant
        }
    }
}

extension Transaction {
    private static let mayNotReach = ControlProblem(
        .accessDenied,
        "The provider does not let this machine into the folders of subtenants."
    )

    /// The subtenant into whose folder a machine of the tenant may, which the audit log then has.
    fileprivate func reach(_ name: String, _ identity: Identity, _ purpose: Purpose) throws -> SubtenantRecord {
        guard identity.subtenant == nil, identity.tenant.settings.reachesSubtenants else {
            throw Self.mayNotReach.error
        }
        guard purpose == .prune || purpose.isReadOnly else {
            throw HawserError(
                .accessDenied,
                "In a subtenant's folder a tenant restores, checks and prunes, and no more."
            )
        }
        let row = try db.row(
            "SELECT * FROM subtenant WHERE tenant = ? AND name = ? AND deleteAfter IS NULL",
            [identity.tenant.id.text, name]
        )
        guard let row else { throw HawserError(.notFound, "There is no such subtenant.", place: name) }
        let subtenant = try SubtenantRecord(row)
        // Not again within an hour: the log only grows, and a machine opens as many sessions as it likes.
        let hour = (now - .seconds(3600)).milliseconds
        let other = try db.row(
            """
            SELECT 1 FROM session WHERE tenant = ?1 AND (ended IS NULL OR ended > ?2) AND opened > ?2
            AND device = ?3 AND subtenant = ?4 AND purpose = ?5 LIMIT 1
            """,
            [identity.tenant.id.text, hour, identity.device.id.text, subtenant.id.text, purpose.rawValue]
        )
        if other == nil {
            try audit("session.subtenant", identity.device.id.text, "\(purpose) in \(name) (\(subtenant.id))")
        }
        return subtenant
    }

    fileprivate func admit(_ identity: Identity, _ purpose: Purpose) throws {
        if identity.device.revoked != nil {
            throw HawserError(.revoked, "The provider has revoked this device.")
        }
        if let refusal = identity.tenant.refusal(purpose, wall: wall) ?? identity.subtenant?.refusal { throw refusal }
        if let message = try Setting.maintenance.read(db) {
            throw HawserError(.maintenance, message, isRetryable: true, retryAfter: .seconds(60))
        }
        // Without a limit of the provider's, one that no tenant needs: sessions are in memory.
        let most = identity.tenant.settings.mostSessions ?? 1000
        if try db.liveSessions(of: identity.tenant.id) >= most {
            throw HawserError(
                .tooManySessions,
                "The provider allows \(most) sessions at one time, and as many are open.",
                isRetryable: true,
                retryAfter: .seconds(10)
            )
        }
    }

    func end(_ session: SessionRecord, _ problem: ControlProblem?, _ table: SessionTable) throws {
        try db.run(
            "UPDATE session SET ended = ?, problem = ?, lastRequest = ? WHERE id = ? AND ended IS NULL",
            [
                now.milliseconds, try problem.map { try jsonText($0) },
                (table.session(session.id) ?? session).lastRequest.milliseconds, session.id.text,
            ]
        )
        guard db.changesCount > 0 else { return }
        let time = now
        afterCommit { table.end(session.id, at: time, problem) }
        let shown = problem ?? ControlProblem(.sessionOver, "The session was closed.")
        publish(.sessionEnded(session.id, tenant: session.tenant, shown))
    }

    /// Those of the tenant's sessions that it may not have any more.
    func endRefusedSessions(of tenant: TenantRecord, _ table: SessionTable) throws {
        let rows = try db.rows(
            """
            SELECT session.*, device.subtenant AS home FROM session JOIN device ON device.id = session.device
            WHERE session.tenant = ? AND ended IS NULL
            """,
            [tenant.id.text]
        )
        for row in rows {
            let session = try SessionRecord(row)
            if let refusal = tenant.refusal(session.purpose, wall: wall) {
                try end(session, ControlProblem(refusal.code, refusal.message), table)
            } else if session.subtenant != nil, (row["home"] as String?) == nil, !tenant.settings.reachesSubtenants {
                try end(session, Self.mayNotReach, table)
            }
        }
    }

    func endSessions(ofSubtenant subtenant: SubtenantRecord, _ table: SessionTable) throws {
        let rows = try db.rows("SELECT * FROM session WHERE subtenant = ? AND ended IS NULL", [subtenant.id.text])
        let problem = ControlProblem(.tenantDisabled, "The provider has disabled this subtenant.")
        for session in try rows.map(SessionRecord.init) { try end(session, problem, table) }
        try revokeCredentials(tenant: subtenant.tenant, subtenant: subtenant.id)
    }
}
