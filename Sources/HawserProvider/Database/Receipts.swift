import GRDB
import HawserControl
import HawserFormat

/// When the provider took note of snapshots: retention counts by it, so that no machine's clock or word pushes out others'.
extension ConfigurationDatabase {
    /// In the order of ids.
    func receipts(_ folder: ControlID, after: ObjectName?, limit: Int) async throws -> [ReceiptsAnswer.Receipt] {
        try await read { db in
            try db.rows(
                "SELECT * FROM receipt WHERE folder = ? AND snapshot > ? ORDER BY snapshot LIMIT ?",
                [folder.text, after?.hex ?? "", limit]
            ).map {
                ReceiptsAnswer.Receipt(
                    snapshot: $0["snapshot"],
                    receivedAt: Moment(milliseconds: $0["received"]).seconds,
                    notedAt: Moment(milliseconds: $0["noted"]).seconds
                )
            }
        }
    }

    func hasReceipt(of snapshot: ObjectName, in folder: ControlID) async throws -> Bool {
        try await read { try $0.row(Transaction.receiptOf, [folder.text, snapshot.hex]) != nil }
    }

    /// Drops those of snapshots that a listing has not found.
    ///
    /// - Parameters:
    ///   - round: the listing's.
    ///   - begun: when it began.
    func dropReceipts(of folder: ControlID, round: Int, begun: Moment) async throws {
        // A page at a time: everybody's leases wait behind a write.
        var dropped = Self.receiptsDropped
        while dropped == Self.receiptsDropped {
            dropped = try await write { transaction in
                try transaction.db.run(
                    """
                    DELETE FROM receipt WHERE folder = ?1 AND snapshot IN (
                        SELECT snapshot FROM receipt WHERE folder = ?1 AND round < ?2 AND noted < ?3 LIMIT ?4
                    )
                    """,
                    [folder.text, round, (begun - Self.receiptGrace).milliseconds, Self.receiptsDropped]
                )
                return transaction.db.changesCount
            }
        }
    }

    private static let receiptsDropped = 2000

    /// Between the receipt and its snapshot: a listing in that time finds none, and the receipt stays.
    private static let receiptGrace = Duration.seconds(86_400)
}

extension Transaction {
    fileprivate static let receiptOf = "SELECT received FROM receipt WHERE folder = ? AND snapshot = ?"

    /// The first word counts: said again, it stays as it is.
    ///
    /// - Parameters:
    ///   - replaced: the snapshot whose place it takes, and whose receipt it gets. One without a receipt is as none.
    ///   - stored: when the storage had it, of one that nobody told of.
    func noteReceipt(
        of snapshot: ObjectName,
        in folder: ControlID,
        replacing replaced: ObjectName? = nil,
        stored: Moment? = nil
    ) throws {
        let earlier = try replaced.flatMap {
            try db.row(Self.receiptOf, [folder.text, $0.hex])
        }
        let time = min(stored ?? wall, wall).milliseconds
        try db.run(
            // Of an object's versions, all of which a listing has, the first counts; who was told was told before.
            """
            INSERT INTO receipt (folder, snapshot, received, noted) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET received = min(received, ?3), noted = min(noted, ?4) WHERE ?5
            """,
            [folder.text, snapshot.hex, earlier?["received"] ?? time, time, stored != nil]
        )
    }

    /// A listing has found these: the ones that nobody told of, as after a restore of the database, came when the storage
    /// says.
    func noteListed(snapshot: ObjectName, stored: Moment, in folder: ControlID) throws {
        try noteReceipt(of: snapshot, in: folder, stored: stored)
        try db.run(
            "UPDATE receipt SET round = (SELECT round FROM folder WHERE id = ?1) WHERE folder = ?1 AND snapshot = ?2",
            [folder.text, snapshot.hex]
        )
    }
}
