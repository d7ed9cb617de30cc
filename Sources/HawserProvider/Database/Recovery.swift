import GRDB
import HawserControl
import HawserFormat
import Synchronization

/// After a restore of this database from a backup, until deletions are approved.
public struct RecoveryState: Codable, Sendable, Hashable {
    /// By the steady clock.
    public var since: Moment
    /// Old deletion requests wait for this.
    public var isApproved: Bool
}

extension ConfigurationDatabase {
    /// `nil` unless the database was restored.
    public func recovery() async throws -> RecoveryState? {
        try await read { try Setting.recovery.read($0) }
    }

    /// Deletion requests that came before the restore are carried out again.
    public func approveRecovery(actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            guard var state = try Setting.recovery.read(transaction.db) else {
                throw HawserError(
                    .notFound,
                    "The database was not restored from a backup: there is nothing to approve."
                )
            }
            state.isApproved = true
            try Setting.recovery.set(state, transaction.db)
            try transaction.audit("recovery.approve", "database")
            transaction.publish(.general)
        }
    }

    /// - Parameter message: for people; `nil`: off. While it is on nobody opens a session; those that run go on.
    public func setMaintenance(_ message: String?, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            try Setting.maintenance.set(message, transaction.db)
            try transaction.audit(message == nil ? "maintenance.off" : "maintenance.on", "server", message ?? "")
            transaction.publish(.general)
        }
    }

    public func maintenance() async throws -> String? {
        try await read { try Setting.maintenance.read($0) }
    }

    public var ledgerSettings: LedgerSettings { ledgerNumbers.withLock { $0 } }

    public func setLedgerSettings(_ settings: LedgerSettings, actor: String = "server") async throws {
        try await write(actor: actor) { [self] transaction in
            try Setting.ledger.set(settings, transaction.db)
            try transaction.audit("settings.ledger", "server", try jsonText(settings))
            transaction.afterCommit { [self] in ledgerNumbers.withLock { $0 = settings } }
        }
    }
}

extension Database {
    /// After a restore: once a full listing has told what is there, which must have begun after the last ticket's end.
    func isOpenForWriting(_ folder: FolderRecord, _ epoch: Int64) throws -> Bool {
        guard epoch > 0 else { return true }
        let row = try row("SELECT epoch FROM folder WHERE id = ?", [folder.id.text])
        return (row?["epoch"] ?? 0) >= epoch
    }
}
