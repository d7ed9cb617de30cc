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
                    isReplacement: $0["isReplacement"]
                )
            }
        }
    }
}

extension Transaction {
    /// A session commits a snapshot soon after, or never: then a listing does not find it for so long.
    private static let receiptGrace = Duration.seconds(86_400)

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
            try db.row("SELECT received FROM receipt WHERE folder = ? AND snapshot = ?", [folder.text, $0.hex])
        }
        try db.run(
            """
            INSERT OR IGNORE INTO receipt (folder, snapshot, received, noted, isReplacement) VALUES (?1, ?2, ?3, ?4, ?5)
            """,
            [
                folder.text, snapshot.hex, earlier?["received"] ?? min(stored ?? wall, wall).milliseconds,
                wall.milliseconds, earlier != nil,
            ]
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

    /// Those of snapshots that the listing has not found.
    func dropReceipts(of folder: ControlID, round: Int) throws {
        try db.run(
            "DELETE FROM receipt WHERE folder = ? AND round <> ? AND noted < ?",
            [folder.text, round, (wall - Self.receiptGrace).milliseconds]
        )
    }
}
