import GRDB
import HawserControl
import HawserFormat

/// What the work on storages asks the database.
extension ConfigurationDatabase {
    /// Folders whose daily listing is due. Each has a second of the day of its own, and waits for up to a day for a moment
    /// in which no session has leases there; one in which there were such is listed again in the next such moment.
    ///
    /// Those that wait for a listing after a restore of the database come first, as soon as a listing opens them.
    func foldersToReconcile() async throws -> [ControlID] {
        let (epoch, wall, steady) = (epoch, clock.wall, clock.steady)
        let ticketLife = Duration.seconds(ledgerSettings.ticketLifetime + ledgerSettings.ticketGrace)
        return try await read { db in
            let opens = try Setting.recovery.read(db).map { steady >= $0.since + ticketLife } ?? false
            var (first, others): ([ControlID], [ControlID]) = ([], [])
            let rows = try db.rows(
                """
                SELECT folder.*, folder.epoch AS opened,
                    EXISTS (SELECT 1 FROM lease WHERE lease.folder = folder.id) AS isLeased
                FROM folder JOIN tenant ON tenant.id = folder.tenant
                WHERE tenant.deleteAfter IS NULL ORDER BY folder.reconciled
                """
            )
            for row in rows {
                let folder = try FolderRecord(row)
                if opens, (row["opened"] as Int64) < epoch {
                    first.append(folder.id)
                } else if folder.isListingOverdue(wall)
                    || !row["isLeased"] && (row["isLoose"] || folder.isListingDue(wall))
                {
                    others.append(folder.id)
                }
            }
            return first + others
        }
    }
}

extension FolderRecord {
    private static let day: Int64 = 86_400_000

    /// The folder's own time of the day, milliseconds. Ids are random, so folders spread over the day.
    var listingTime: Int64 {
        Int64(id.text.utf8.reduce(UInt64(0)) { ($0 &* 31 &+ UInt64($1)) % UInt64(Self.day) })
    }

    /// Whether it is to be listed beside leases too.
    func isListingOverdue(_ wall: Moment) -> Bool {
        isListingDue(wall) && reconciled.map { wall - $0 > .seconds(2 * 86_400) } ?? true
    }

    /// A listing from the future says that the clock was set back: it does not count.
    func isListingDue(_ wall: Moment) -> Bool {
        guard let reconciled, reconciled <= wall else { return true }
        let time = wall.milliseconds - listingTime
        let last = time - ((time % Self.day) + Self.day) % Self.day + listingTime
        return reconciled.milliseconds < last
    }
}
