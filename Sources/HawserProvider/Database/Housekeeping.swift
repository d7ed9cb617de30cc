import GRDB
import HawserControl
import HawserFormat
import Synchronization

extension ConfigurationDatabase {
    /// How long what a session did object by object is kept after its end: for reconciling sessions that ran beside it.
    static let workIsKept = Duration.seconds(2 * 86_400)
    /// Deletions that are done, so that one that is told twice is known, and so is how much went within a day.
    static let deletionsAreKept = Duration.seconds(86_400)
    /// Ended sessions are shown for so long.
    static let sessionsAreKept = Duration.seconds(90 * 86_400)

    /// What the one server does every 10 s: a sign of life, so that other servers keep out and the steady clock never
    /// goes back; the end of leases, and of credentials beyond a limit; a sample of usage.
    func beat() async throws {
        try await writeUsage()
        try await write { transaction in
            let db = transaction.db
            try db.run("UPDATE owner SET heartbeat = ? WHERE id = 1", [transaction.wall.milliseconds])
            try Setting.steady.set(transaction.now.milliseconds, db)
            try transaction.sampleUsage()
            try transaction.forgetOldWork()
            try transaction.revokeCredentialsBeyondLimits()
            try db.run("DELETE FROM joinCode WHERE expires <= ?", [transaction.now.milliseconds])
        }
        while try await expireLeases() == 256 {}
    }
}

extension ConfigurationDatabase {
    /// Written with the next beat, or when somebody asks.
    func count(_ usage: MoverUsage, in folder: ControlID) {
        counted.withLock { counted in
            counted[folder, default: MoverUsage()].requests += usage.requests
            counted[folder, default: MoverUsage()].egress += usage.egress
        }
    }

    func writeUsage() async throws {
        let counted = self.counted.withLock { counted in
            defer { counted = [:] }
            return counted
        }
        guard !counted.isEmpty else { return }
        do {
            try await write { try $0.addUsage(counted) }
        } catch {
            for (folder, usage) in counted { count(usage, in: folder) }
            throw error
        }
    }
}

extension Transaction {
    fileprivate func addUsage(_ counted: [ControlID: MoverUsage]) throws {
        for (folder, usage) in counted {
            // A folder that is gone has no bills.
            try db.run(
                """
                INSERT INTO usageDay (folder, day, samples, sum, peak, requests, egress)
                SELECT id, ?1, 0, 0, 0, ?2, ?3 FROM folder WHERE id = ?4
                ON CONFLICT (folder, day) DO UPDATE SET requests = min(?5, requests + excluded.requests),
                    egress = min(?5, egress + excluded.egress)
                """,
                [String(wall.description.prefix(10)), usage.requests, usage.egress, folder.text, ledgerBound]
            )
        }
    }

    /// Once an hour by the wall clock.
    private static let sampleInterval: Int64 = 3600 * 1000

    fileprivate func sampleUsage() throws {
        let hour = wall.milliseconds / Self.sampleInterval
        guard try Setting.sampled.read(db) != hour else { return }
        try Setting.sampled.set(hour, db)
        try db.run(
            """
            INSERT INTO usageDay (folder, day, samples, sum, peak)
            SELECT id, ?, 1, committed, committed FROM folder WHERE true
            ON CONFLICT (folder, day) DO UPDATE SET samples = samples + 1, sum = sum + excluded.sum,
                peak = max(peak, excluded.peak)
            """,
            [String(wall.description.prefix(10))]
        )
    }

    /// Of sessions that ended long ago; some each time, so that no write lasts long.
    fileprivate func forgetOldWork() throws {
        let workEnd = now - ConfigurationDatabase.workIsKept
        let old = try db.rows(
            "SELECT id FROM session WHERE ended <= ? AND NOT isForgotten ORDER BY ended LIMIT 4",
            [workEnd.milliseconds]
        )
        for row in old {
            let id: String = row["id"]
            try db.run(
                """
                DELETE FROM reservation WHERE (session, folder, key, length) IN (
                    SELECT session, folder, key, length FROM reservation WHERE session = ? AND state = 'committed'
                    LIMIT 2000
                )
                """,
                [id]
            )
            if db.changesCount == 0 { try db.run("UPDATE session SET isForgotten = 1 WHERE id = ?", [id]) }
        }
        try db.run(
            """
            DELETE FROM deletion WHERE id IN (
                SELECT id FROM deletion WHERE state = 'done' AND notBefore <= ? LIMIT 2000
            )
            """,
            [(now - ConfigurationDatabase.deletionsAreKept).milliseconds]
        )
        let sessionEnd = now - ConfigurationDatabase.sessionsAreKept
        let gone = try db.rows(
            """
            SELECT id FROM session WHERE ended <= ?1
                AND NOT EXISTS (SELECT 1 FROM reservation WHERE reservation.session = session.id)
                AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.session = session.id) LIMIT 100
            """,
            [sessionEnd.milliseconds]
        )
        for row in gone {
            try db.run("DELETE FROM work WHERE session = ?", [row["id"] as String])
            try db.run("DELETE FROM session WHERE id = ?", [row["id"] as String])
        }
    }
}

extension ConfigurationDatabase {
    /// Days of a range, by folder.
    ///
    /// - Parameters:
    ///   - from: the first day, such as `2026-01-01`.
    ///   - through: the last.
    public func usage(from: String, through: String) async throws -> [UsageDay] {
        try await writeUsage()
        return try await read { db in
            try db.rows("SELECT * FROM usageDay WHERE day BETWEEN ? AND ? ORDER BY folder, day", [from, through]).map {
                let samples: Int = $0["samples"]
                return UsageDay(
                    folder: try $0.id("folder"),
                    day: $0["day"],
                    samples: samples,
                    average: Int(($0["sum"] as Double) / Double(max(1, samples))),
                    peak: $0["peak"],
                    requests: $0["requests"],
                    egress: $0["egress"]
                )
            }
        }
    }
}
