import Crypto
import GRDB
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The log of who changed what. Each row's hash covers its content and the hash of the row before: a changed, removed or
/// inserted row breaks the chain, and the last hash, kept elsewhere, proves that the end was not cut off.
extension Transaction {
    func audit(_ action: String, _ subject: String, _ detail: String = "") throws {
        let last = try db.row("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")
        let entry = AuditContent(
            sequence: (last?["sequence"] ?? 0) + 1,
            time: wall.milliseconds,
            actor: actor,
            action: action,
            subject: subject,
            detail: detail
        )
        try db.insert(
            "audit",
            [
                "sequence": entry.sequence, "time": entry.time, "actor": actor, "action": action, "subject": subject,
                "detail": detail, "hash": entry.hash(after: last?["hash"] ?? AuditContent.start),
            ]
        )
    }
}

private struct AuditContent {
    static let start = Data(count: SHA256.byteCount)

    var sequence: Int64
    var time: Int64
    var actor: String
    var action: String
    var subject: String
    var detail: String

    /// Every field with its length before it, so that no two entries have the same bytes.
    func hash(after previous: Data) -> Data {
        var hash = SHA256()
        hash.update(data: previous)
        for number in [sequence, time] {
            withUnsafeBytes(of: number.bigEndian) { hash.update(bufferPointer: $0) }
        }
        for text in [actor, action, subject, detail] {
            withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: Data(text.utf8))
        }
        return Data(hash.finalize())
    }
}

extension AuditContent {
    init(_ row: Row) {
        self.init(
            sequence: row["sequence"],
            time: row["time"],
            actor: row["actor"],
            action: row["action"],
            subject: row["subject"],
            detail: row["detail"]
        )
    }
}

/// What `audit verify` found.
public struct AuditProof: Codable, Sendable, Hashable {
    public var entries: Int64
    /// Hexadecimal, of the last entry: worth keeping somewhere else.
    public var lastHash: String
}

extension ConfigurationDatabase {
    /// - Parameter action: what the actions must begin with.
    /// - Returns: the newest first.
    public func auditEntries(limit: Int, action: String = "", before: Int64 = .max) async throws -> [AuditEntry] {
        try await read { db in
            try db.rows(
                """
                SELECT * FROM audit WHERE sequence < ? AND substr(action, 1, ?) = ?
                ORDER BY sequence DESC LIMIT ?
                """,
                [before, action.unicodeScalars.count, action, max(0, limit)]
            ).map { row in
                let content = AuditContent(row)
                return AuditEntry(
                    sequence: content.sequence,
                    time: Moment(milliseconds: content.time),
                    actor: content.actor,
                    action: content.action,
                    subject: content.subject,
                    detail: content.detail,
                    hash: (row.bytes("hash") ?? []).hex
                )
            }
        }
    }

    /// - Throws: `damaged` naming the first entry that was changed or follows a gap.
    public func verifyAudit() async throws -> AuditProof {
        try await read { db in
            var previous = AuditContent.start
            var count: Int64 = 0
            let rows = try Row.fetchCursor(db, sql: "SELECT * FROM audit ORDER BY sequence")
            while let row = try rows.next() {
                count += 1
                let content = AuditContent(row)
                let hash: Data = row["hash"]
                guard content.sequence == count, content.hash(after: previous) == hash else {
                    throw HawserError(
                        .damaged,
                        "The audit log was tampered with at entry \(count): compare with a backup of the database.",
                        place: "audit/\(count)"
                    )
                }
                previous = hash
            }
            return AuditProof(entries: count, lastHash: Array(previous).hex)
        }
    }

    /// Notes what is not a change of the database by itself, such as a refused sign-in.
    public func note(_ action: String, subject: String, detail: String = "", actor: String = "server") async throws {
        try await write(actor: actor) { try $0.audit(action, subject, detail) }
    }
}
