import GRDB
public import HawserControl
public import HawserFormat
import HawserStorage

/// Objects by their keys: those that were stored, and tickets for those that will be.
extension ConfigurationDatabase {
    /// Objects that are in the storage now. The client is believed: it costs the tenant.
    ///
    /// - Parameters:
    ///   - snapshot: a snapshot or a checkpoint that is about to be written: then the session must be alive.
    ///   - replaced: the snapshot whose place it takes.
    /// - Returns: the quota, and when this was noted.
    /// - Throws: `invalidArgument` for a key that is none of the format; `accessDenied` in a session that stores nothing;
    ///   `sessionOver` for a snapshot.
    public func commit(
        _ target: LedgerTarget,
        _ objects: [ObjectRecord],
        before snapshot: ObjectKey? = nil,
        replacing replaced: ObjectKey? = nil
    ) async throws -> (quota: QuotaState, at: Moment) {
        try Self.check(objects)
        return try await write { [self] transaction in
            var writer = try LedgerWrite(transaction, target, self, isSettling: snapshot == nil)
            try writer.commit(objects)
            if let snapshot, snapshot.kind == .snapshot, let id = snapshot.name {
                try transaction.noteReceipt(of: id, in: writer.folder.id, replacing: replaced?.name)
            }
            // Of a checkpoint nobody knows whether a backup will come of it; others' snapshots are made of old ones.
            if snapshot?.kind == .snapshot, writer.purpose == .backup {
                try transaction.noteBackup(of: target.session)
                // It found room.
                for folder in try writer.account().all where folder.refused != nil {
                    try transaction.db.update("folder", id: folder.id, ["refused": nil])
                }
            }
            return (try writer.account().quota, transaction.wall)
        }
    }

    /// Sets each object's length aside until its ticket has ended and the storage has told what came of it.
    public func reserve(_ target: LedgerTarget, _ objects: [ObjectRecord]) async throws -> [TicketOutcome] {
        try Self.check(objects)
        return try await write { [self] transaction in
            var writer = try LedgerWrite(transaction, target, self)
            return try writer.tickets(objects)
        }
    }

    /// Tickets that ended so long ago that no PUT can still be running: to be looked up in the storage, then settled.
    ///
    /// - Parameter skipping: folders that are not looked at now.
    public func endedTickets(limit: Int = 1000, skipping: [ControlID] = []) async throws -> [EndedTicket] {
        let now = clock.steady.milliseconds
        return try await read { db in
            try db.rows(
                """
                SELECT * FROM reservation WHERE expires <= ? AND folder NOT IN (SELECT value FROM json_each(?))
                ORDER BY expires LIMIT ?
                """,
                [now, try jsonText(skipping.map(\.text)), limit]
            ).map { row in
                EndedTicket(
                    session: try row.id("session"),
                    folder: try row.id("folder"),
                    key: row["key"],
                    length: row["length"]
                )
            }
        }
    }

    /// - Parameter isStored: what the storage said after the ticket's end, or a gateway server.
    public func settle(_ ticket: EndedTicket, isStored: Bool) async throws {
        try await write { transaction in
            let folder = try transaction.db.one("folder", id: ticket.folder, what: "folder").map(FolderRecord.init)
            let target = LedgerTarget(
                session: ticket.session,
                tenant: folder.tenant,
                subtenant: folder.subtenant,
                repository: folder.repository
            )
            var writer = try LedgerWrite(transaction, target, self, isSettling: true)
            let object = ObjectRecord(key: ticket.key, length: ticket.length)
            try writer.settleTicket(object, isStored: isStored)
        }
    }

    /// Bytes that are gone: the provider deleted objects and has seen that none of their versions is left.
    public func freed(_ bytes: Int, in folder: ControlID) async throws {
        try checkBytes(bytes)
        try await write { transaction in
            let record = try transaction.db.one("folder", id: folder, what: "folder").map(FolderRecord.init)
            try transaction.apply(.init(committed: -min(bytes, record.committed)), to: record)
            if try !transaction.db.refreshOver(folder), record.isOver { transaction.publish(.tenant(record.tenant)) }
        }
    }

    private static func check(_ objects: [ObjectRecord]) throws {
        for object in objects {
            guard ObjectKey(object.key) != nil, (1...maximumObjectLength).contains(object.length) else {
                throw HawserError(.invalidArgument, "This is no object of the repository format.", place: object.key)
            }
        }
    }
}
