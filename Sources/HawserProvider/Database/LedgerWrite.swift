import GRDB
import HawserControl
import HawserFormat
import Synchronization

/// One session's write to one folder's ledger, inside a transaction.
struct LedgerWrite {
    let transaction: Transaction
    let target: LedgerTarget
    let folder: FolderRecord
    let settings: LedgerSettings
    let purpose: Purpose
    private let database: ConfigurationDatabase
    /// Of listings of the folder, and whether it is still going on.
    private let round: Int
    private let isListing: Bool
    private(set) var work: Work

    /// What the session has stored in the folder, as told object by object and lease by lease: the same bytes, so that
    /// the larger sum is what is booked. After a listing has come between, they may be different ones.
    struct Work {
        var byKeys = 0
        var byLeases = 0
        var isLoose = false

        init(_ row: Row?) {
            guard let row else { return }
            (byKeys, byLeases, isLoose) = (row["byKeys"], row["byLeases"], row["isLoose"])
        }

        var booked: Int { isLoose ? byKeys + byLeases : max(byKeys, byLeases) }

        // Whatever a client tells, and however often: sums stand still where the table's own do.
        mutating func add(byKeys bytes: Int) { byKeys = min(byKeys + bytes, ledgerBound) }
        mutating func add(byLeases bytes: Int) { byLeases = min(byLeases + bytes, ledgerBound) }
    }

    var db: Database { transaction.db }

    /// - Parameter isSettling: only tells what was stored, which is heard after the session's end too.
    init(
        _ transaction: Transaction,
        _ target: LedgerTarget,
        _ database: ConfigurationDatabase,
        isSettling: Bool = false
    ) throws {
        self.transaction = transaction
        self.target = target
        self.database = database
        let db = transaction.db
        guard
            let session = try db.row(
                """
                SELECT session.ended, session.problem, session.purpose, session.subtenant AS own, tenant.leaseEnd
                FROM session JOIN tenant ON tenant.id = session.tenant WHERE session.id = ? AND session.tenant = ?
                """,
                [target.session.text, target.tenant.text]
            )
        else { throw SessionTable.isOver }
        // A subtenant's session reaches its own folder only.
        let own = try session.optionalID("own")
        guard own == nil || own == target.subtenant else {
            throw HawserError(.accessDenied, "This folder is another's.")
        }
        purpose = try session.choice("purpose")
        folder = try db.folder(target.tenant, target.subtenant, target.repository)
        settings = database.ledgerSettings
        let state = try db.row("SELECT round, isListing FROM folder WHERE id = ?", [folder.id.text])
        round = state?["round"] ?? 0
        isListing = state?["isListing"] ?? false
        if !isSettling { try Self.check(session, purpose, transaction.wall) }
        if !isSettling, try !db.isOpenForWriting(folder, database.epoch) {
            throw HawserError(
                .recovery,
                "The provider restored its database: only restores are possible until it has looked at the storage.",
                isRetryable: true,
                retryAfter: .seconds(600)
            )
        }
        let row = try db.row(
            "SELECT * FROM work WHERE session = ? AND folder = ?",
            [target.session.text, folder.id.text]
        )
        work = Work(row)
        if row == nil { try db.insert("work", ["session": target.session.text, "folder": folder.id.text]) }
    }

    private static func check(_ session: Row, _ purpose: Purpose, _ wall: Moment) throws {
        if (session["ended"] as Int64?) != nil {
            throw try session.optionalJSON("problem", as: ControlProblem.self)?.error ?? SessionTable.isOver
        }
        guard !purpose.isReadOnly else {
            throw HawserError(.accessDenied, "A session for `\(purpose.rawValue)` stores nothing.")
        }
        guard let end = session.moment("leaseEnd"), wall >= end else { return }
        guard purpose != .prune || wall >= end + TenantRecord.pruneAfterEnd else { return }
        throw HawserError(.leaseOver, "The contract with the provider is over; restores are still possible.")
    }

    func account() throws -> Account {
        try Account(db, target.tenant, target.subtenant, target.repository)
    }

    private func saveWork() throws {
        try db.run(
            "UPDATE work SET byKeys = ?, byLeases = ? WHERE session = ? AND folder = ?",
            [work.byKeys, work.byLeases, target.session.text, folder.id.text]
        )
    }

    // MARK: Leases

    func lease(_ id: ControlID, _ bytes: Int, rate: Int, isExact: Bool) throws -> LeaseGrant {
        if let row = try db.row("SELECT session, folder, bytes, expires FROM lease WHERE id = ?", [id.text]) {
            guard try row.id("session") == target.session, try row.id("folder") == folder.id else {
                throw HawserError(.conflict, "This lease is another's.", place: id.text)
            }
            let end = Moment(milliseconds: row["expires"])
            return LeaseGrant(lease: id, bytes: row["bytes"], expiresIn: max(.zero, end - transaction.now))
        }
        let open = try db.row(
            "SELECT count(*) AS open FROM lease WHERE session = ? AND folder = ?",
            [target.session.text, folder.id.text]
        )
        guard open?["open"] ?? 0 < LedgerSettings.mostLeases else {
            throw HawserError(
                .tooManyRequests,
                "The session has \(LedgerSettings.mostLeases) leases. They end after 15 minutes each.",
                isRetryable: true,
                retryAfter: .seconds(60)
            )
        }
        let account = try account()
        var isOutside = false
        var amount = bytes
        if let shortage = account.shortage(bytes) {
            guard purpose == .prune, account.allowsOutside(bytes, settings) else { throw shortage.error }
            isOutside = true
        } else {
            let sessions = try db.liveSessions(of: target.tenant)
            amount = settings.leaseSize(needed: bytes, rate: rate, free: account.free, sessions: sessions)
        }
        try transaction.apply(.init(reserved: amount, outside: isOutside ? amount : 0), to: folder)
        let lifetime = Duration.seconds(settings.leaseLifetime)
        try db.insert(
            "lease",
            [
                "id": id.text, "session": target.session.text, "folder": folder.id.text, "bytes": amount,
                "remaining": amount, "isExact": isExact, "isOutside": isOutside,
                "expires": (transaction.now + lifetime).milliseconds,
            ]
        )
        return LeaseGrant(lease: id, bytes: amount, expiresIn: lifetime)
    }

    /// A lease that is gone was settled before, or has expired: its bytes are booked already.
    mutating func settle(_ id: ControlID, used: Int) throws {
        try checkBytes(used)
        guard let row = try lease(id) else { return }
        // Nobody stores more in a lease's life than a lease can be for and as much again beyond it: what else is there a
        // listing finds.
        let used = min(used, 2 * max(row["bytes"] as Int, LedgerSettings.largestLease))
        let isExact: Bool = row["isExact"]
        let told: Int? = row["used"]
        guard !isExact || told == nil else { return }
        let before = work.booked
        work.add(byLeases: max(0, used - (told ?? 0)))
        try book(work.booked - before, first: id)
        try saveWork()
        let remaining: Int = try lease(id)?["remaining"] ?? 0
        guard isExact else {
            try db.run("UPDATE lease SET used = ? WHERE id = ?", [max(used, told ?? 0), id.text])
            return
        }
        // What was told object by object so far may have been taken from other leases: as much as was used stays.
        let kept = min(remaining, max(0, used - ((row["bytes"] as Int) - remaining)))
        let back = remaining - kept
        try transaction.apply(.init(reserved: -back, outside: row["isOutside"] ? -back : 0), to: folder)
        if kept == 0 {
            try db.run("DELETE FROM lease WHERE id = ?", [id.text])
        } else {
            try db.run("UPDATE lease SET used = ?, remaining = ? WHERE id = ?", [used, kept, id.text])
        }
    }

    private func lease(_ id: ControlID) throws -> Row? {
        try db.row(
            "SELECT * FROM lease WHERE id = ? AND session = ? AND folder = ?",
            [id.text, target.session.text, folder.id.text]
        )
    }

    /// Bytes that are in the storage: taken from what was set aside for them, as far as it reaches. What is beyond is
    /// there all the same, over the limit or not; of a subtenant only up to its own limit, until a listing has found more,
    /// so that its word alone never takes room from its tenant.
    private func book(_ bytes: Int, first: ControlID? = nil) throws {
        guard bytes > 0 else { return }
        var left = bytes
        let rows = try db.rows(
            """
            SELECT id, remaining FROM lease WHERE session = ? AND folder = ? AND remaining > 0
            ORDER BY used IS NULL OR NOT isExact, id <> ?, expires
            """,
            [target.session.text, folder.id.text, first?.text ?? ""]
        )
        for row in rows where left > 0 {
            let drawn = min(left, row["remaining"] as Int)
            left -= drawn
            try db.run("UPDATE lease SET remaining = remaining - ? WHERE id = ?", [drawn, row["id"] as String])
        }
        let drawn = bytes - left
        if left > 0, folder.subtenant != nil { left = min(left, try account().own.free ?? left) }
        try transaction.apply(.init(committed: drawn + left, reserved: -drawn), to: folder)
        try db.run(
            "DELETE FROM lease WHERE session = ? AND folder = ? AND remaining = 0 AND used IS NOT NULL AND isExact",
            [target.session.text, folder.id.text]
        )
    }

    // MARK: Objects

    /// Objects that are in the storage. Told again, in whatever way they came, they count once.
    mutating func commit(_ objects: [ObjectRecord]) throws {
        guard objects.isEmpty || !purpose.isReadOnly else {
            throw HawserError(.accessDenied, "A session for `\(purpose.rawValue)` stores nothing.")
        }
        let isNoted = try database.hasRoom(for: objects.count, in: folder, transaction)
        // Together, so that the session's leases are gone through once.
        var bytes = 0
        for object in objects { bytes += try commit(object, isNoted: isNoted) }
        try book(bytes)
        try saveWork()
    }

    /// - Parameter isNoted: otherwise it counts twice when it is told twice, until the next listing.
    /// - Returns: what is to be booked for it.
    private mutating func commit(_ object: ObjectRecord, isNoted: Bool) throws -> Int {
        if let row = try reservation(object) {
            if row["state"] == "reserved" { try settleTicket(row, object, isStored: true) }
            return 0
        }
        let before = work.booked
        work.add(byKeys: object.length)
        let booked = work.booked - before
        guard isNoted else { return booked }
        try db.insert(
            "reservation",
            [
                "session": target.session.text, "folder": folder.id.text, "key": object.key, "length": object.length,
                "state": "committed", "round": round, "booked": booked,
            ]
        )
        return booked
    }

    private func reservation(_ object: ObjectRecord) throws -> Row? {
        try db.row(
            "SELECT * FROM reservation WHERE session = ? AND folder = ? AND key = ? AND length = ?",
            [target.session.text, folder.id.text, object.key, object.length]
        )
    }

    /// - Parameter isStored: what the storage, or a client to its own cost, says.
    func settleTicket(_ object: ObjectRecord, isStored: Bool) throws {
        guard let row = try reservation(object), row["state"] == "reserved" else { return }
        try settleTicket(row, object, isStored: isStored)
    }

    private func settleTicket(_ row: Row, _ object: ObjectRecord, isStored: Bool) throws {
        let place: StatementArguments = [target.session.text, folder.id.text, object.key, object.length]
        if isStored {
            // A listing that has ended has counted it.
            let isCounted = !isListing && round > 0 && row["listed"] == round
            let booked = isCounted ? 0 : object.length
            try transaction.apply(.init(committed: booked, reserved: -object.length), to: folder)
            try db.run(
                """
                UPDATE reservation SET state = 'committed', expires = NULL, booked = ?, round = ?
                WHERE session = ? AND folder = ? AND key = ? AND length = ?
                """,
                [booked, round] + place
            )
        } else {
            let outside = row["isOutside"] as Bool ? -object.length : 0
            try transaction.apply(.init(reserved: -object.length, outside: outside), to: folder)
            try db.run("DELETE FROM reservation WHERE session = ? AND folder = ? AND key = ? AND length = ?", place)
        }
    }

    func tickets(_ objects: [ObjectRecord]) throws -> [TicketOutcome] {
        guard try database.hasRoom(for: objects.count, in: folder, transaction) else {
            throw HawserError(
                .tooManyRequests,
                "More objects were stored in the last two days than this server keeps in mind for one folder.",
                isRetryable: true,
                retryAfter: .seconds(600)
            )
        }
        return try objects.map(ticket)
    }

    private func ticket(_ object: ObjectRecord) throws -> TicketOutcome {
        let lifetime = Duration.seconds(settings.ticketLifetime)
        let end = transaction.now + lifetime + .seconds(settings.ticketGrace)
        if let row = try reservation(object) {
            guard row["state"] == "reserved" else { return .stored }
            try db.run(
                """
                UPDATE reservation SET expires = ?1, ticketEnd = ?1
                WHERE session = ?2 AND folder = ?3 AND key = ?4 AND length = ?5
                """,
                [end.milliseconds, target.session.text, folder.id.text, object.key, object.length]
            )
            return .granted(expiresIn: lifetime)
        }
        let account = try account()
        var isOutside = false
        if let shortage = account.shortage(object.length) {
            guard purpose == .prune, account.allowsOutside(object.length, settings) else { return .refused(shortage) }
            isOutside = true
        }
        try transaction.apply(.init(reserved: object.length, outside: isOutside ? object.length : 0), to: folder)
        try db.insert(
            "reservation",
            [
                "session": target.session.text, "folder": folder.id.text, "key": object.key, "length": object.length,
                "state": "reserved", "isOutside": isOutside, "expires": end.milliseconds, "ticketEnd": end.milliseconds,
            ]
        )
        return .granted(expiresIn: lifetime)
    }
}

extension ConfigurationDatabase {
    /// Rows of `reservation` that a folder may have in any case, and at most; between them it is one for each 64 KiB that
    /// are stored there, a hundredth of what backups make.
    private static let (fewestNotes, mostNotes, bytesOfNote) = (100_000, 1_000_000, 64 << 10)
    private static let countAgain = Duration.seconds(60)

    /// Whether so many more objects may be noted one by one: tenants decide how many there are, and this machine's disk has
    /// an end.
    fileprivate func hasRoom(for count: Int, in folder: FolderRecord, _ transaction: Transaction) throws -> Bool {
        let most = min(max(Self.fewestNotes, folder.used / Self.bytesOfNote), Self.mostNotes)
        var notes = notes.withLock { $0[folder.id] } ?? Notes(count: .max, counted: transaction.now - Self.countAgain)
        // What was deleted since is known by counting only.
        if notes.count > most - count, transaction.now - notes.counted >= Self.countAgain {
            let row = try transaction.db.row(
                "SELECT COUNT(*) AS count FROM reservation WHERE folder = ?",
                [folder.id.text]
            )
            notes = Notes(count: row?["count"] ?? 0, counted: transaction.now)
        }
        let hasRoom = notes.count <= most - count
        if hasRoom { notes.count += count }
        self.notes.withLock { $0[folder.id] = notes }
        return hasRoom
    }
}

extension Database {
    func liveSessions(of tenant: ControlID) throws -> Int {
        try Int.fetchOne(
            cachedStatement(sql: "SELECT COUNT(*) FROM session WHERE tenant = ? AND ended IS NULL"),
            arguments: [tenant.text]
        ) ?? 0
    }
}
