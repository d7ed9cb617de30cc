import GRDB
public import HawserControl
import HawserFormat

/// Byte leases: room for objects whose names nobody has to say beforehand.
extension ConfigurationDatabase {
    /// Sets bytes aside, in one durable transaction over subtenant and tenant.
    ///
    /// - Parameters:
    ///   - lease: chosen by the client. Asked for again, the same id in the same session is the same lease.
    ///   - bytes: needed; 0 only to settle.
    ///   - rate: bytes a second that the session stores; the lease may hold more than was asked for.
    ///   - isExact: who uses the lease is the provider's own gateway server, whose word counts. Otherwise bytes that are
    ///     said to be unused come back only when a listing has shown it.
    ///   - settled: done first, and even when the bytes are refused.
    /// - Returns: `nil` for 0 bytes.
    /// - Throws: `quotaExceeded` (cause: `AccountShortage`), `sessionOver`, `leaseOver`, `tenantDisabled`,
    ///   `accessDenied` for a session that only reads, `recovery`.
    public func lease(
        _ target: LedgerTarget,
        lease: ControlID? = nil,
        bytes: Int,
        rate: Int = 0,
        isExact: Bool = false,
        settled: [LeaseSettlement] = []
    ) async throws -> (grant: LeaseGrant?, quota: QuotaState) {
        try checkBytes(bytes)
        let (result, quota) = try await write { [self] transaction -> (Result<LeaseGrant?, HawserError>, QuotaState) in
            var writer = try LedgerWrite(transaction, target, self, isSettling: bytes == 0)
            for settlement in settled { try writer.settle(settlement.lease, used: settlement.used) }
            do {
                let grant = bytes == 0 ? nil : try writer.lease(lease ?? .random(), bytes, rate: rate, isExact: isExact)
                return (.success(grant), try writer.account().quota)
            } catch let error as HawserError where error.cause is AccountShortage {
                let account = try writer.account()
                try writer.noteRefused(bytes, account)
                return (.failure(error), account.quota)
            }
        }
        do {
            return (try result.get(), quota)
        } catch {
            throw try await afterAsking(target, error)
        }
    }

    /// What the client says it stored on a lease. It never gives bytes back; only a gateway server's word does.
    /// Works after the session's end too, and again without effect.
    public func settle(_ target: LedgerTarget, _ settlements: [LeaseSettlement]) async throws -> QuotaState {
        try await write { [self] transaction in
            var writer = try LedgerWrite(transaction, target, self, isSettling: true)
            for settlement in settlements { try writer.settle(settlement.lease, used: settlement.used) }
            return try writer.account().quota
        }
    }

    /// Before a session is refused, others are asked for what they don't use: then trying again can help.
    private func afterAsking(_ target: LedgerTarget, _ error: HawserError) async throws -> HawserError {
        let folder = try await folder(tenant: target.tenant, subtenant: nil, repository: target.repository)
        let isHeld = try await read { db in
            try db.exists(
                """
                SELECT 1 FROM lease JOIN folder ON folder.id = lease.folder
                WHERE folder.tenant = ? AND folder.repository = ? AND lease.isExact AND lease.remaining > 0
                    AND lease.session <> ?
                """,
                [folder.tenant.text, folder.repository.text, target.session.text]
            )
        }
        guard isHeld else { return error }
        feed.publish([.returnUnused(repository: target.repository, tenant: target.tenant)])
        var error = error
        error.isRetryable = true
        error.retryAfter = .seconds(5)
        return error
    }

    /// Books what expired leases hold as used: they may have been. Only a listing gives it back.
    ///
    /// - Returns: how many there were; call again while it is `limit`.
    func expireLeases(limit: Int = 256) async throws -> Int {
        try await write { transaction in
            let rows = try transaction.db.rows(
                "SELECT * FROM lease WHERE expires <= ? ORDER BY expires LIMIT ?",
                [transaction.now.milliseconds, limit]
            )
            for row in rows { try transaction.bookUnproven(row) }
            return rows.count
        }
    }
}

func checkBytes(_ bytes: Int) throws {
    // 1 PiB: sums of thousands of them are far from overflowing.
    guard bytes >= 0, bytes <= 1 << 50 else {
        throw HawserError(.invalidArgument, "A request is for 0 to \(1 << 50) bytes.")
    }
}

extension Transaction {
    /// As if all of it had been used.
    func bookUnproven(_ lease: Row) throws {
        let remaining: Int = lease["remaining"]
        let folder = try db.one("folder", id: lease.id("folder"), what: "folder").map(FolderRecord.init)
        let told: Int? = lease["used"]
        // What a gateway server has told is all that it used.
        let assumed = lease["isExact"] && told != nil ? 0 : max(0, (lease["bytes"] as Int) - (told ?? 0))
        try apply(Change(committed: remaining, reserved: -remaining, unproven: remaining), to: folder)
        try db.run(
            """
            UPDATE work SET byLeases = min(?5, byLeases + ?1), unproven = min(?5, unproven + ?2)
            WHERE session = ?3 AND folder = ?4
            """,
            [assumed, remaining, lease["session"] as String, folder.id.text, ledgerBound]
        )
        try db.run("DELETE FROM lease WHERE id = ?", [lease["id"] as String])
    }

    /// What a listing decides about; what is told of it later is added anew.
    func forgetUnproven(_ condition: String, _ arguments: StatementArguments) throws {
        try db.run(
            """
            UPDATE work SET byKeys = 0, byLeases = 0, unproven = 0, isLoose = 1 WHERE unproven > 0 AND \(condition)
            """,
            arguments
        )
    }
}
