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
    /// As it stands now; `nil` until somebody asks.
    private var known: Account?

    /// What the session has stored in the folder, as told object by object and lease by lease: the same bytes, so that
    /// the larger sum is what is booked. After a listing has come between, they may be different ones.
    struct Work {
        var byKeys = 0
        var byLeases = 0
        var isLoose = false

        init() {}

        init(_ row: Row) {
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
        let own: ControlID?
        (purpose, own) = try Self.session(target, transaction, isSettling: isSettling)
        // A subtenant's session reaches its own folder only.
        guard own == nil || own == target.subtenant else {
            throw HawserError(.accessDenied, "This folder is another's.")
        }
        (folder, round, isListing) = try db.folder(target.tenant, target.subtenant, target.repository) {
            (try FolderRecord($0), $0["round"], $0["isListing"])
        }
        known = target.subtenant == nil ? Account(own: folder) : nil
        settings = database.ledgerSettings
        if !isSettling, try !db.isOpenForWriting(folder, database.epoch) {
            throw HawserError(
                .recovery,
                "The provider restored its database: only restores are possible until it has looked at the storage.",
                isRetryable: true,
                retryAfter: .seconds(600)
            )
        }
        let place: StatementArguments = [target.session.text, folder.id.text]
        let work = try db.first(
            "SELECT byKeys, byLeases, isLoose FROM work WHERE session = ? AND folder = ?",
            place,
            Work.init
        )
        self.work = work ?? Work()
        if work == nil { try db.run("INSERT INTO work (session, folder) VALUES (?, ?)", place) }
    }

    /// What the session is for, and of which subtenant it is.
    private static func session(
        _ target: LedgerTarget,
        _ transaction: Transaction,
        isSettling: Bool
    ) throws -> (Purpose, ControlID?) {
        let found = try transaction.db.first(
            """
            SELECT session.ended, session.problem, session.purpose, session.subtenant AS own, tenant.leaseEnd
            FROM session JOIN tenant ON tenant.id = session.tenant WHERE session.id = ? AND session.tenant = ?
            """,
            [target.session.text, target.tenant.text]
        ) { row in
            let purpose: Purpose = try row.choice("purpose")
            if !isSettling { try check(row, purpose, transaction.wall) }
            return (purpose, try row.optionalID("own"))
        }
        guard let found else { throw SessionTable.isOver }
        return found
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

    mutating func account() throws -> Account {
        if let known { return known }
        let account = try Account(db, target.tenant, target.subtenant, target.repository)
        known = account
        return account
    }

    private mutating func apply(_ change: Transaction.Change) throws {
        try transaction.apply(change, to: folder)
        // What is freed can change more than the sums.
        if change.committed < 0 { known = nil } else { known?.apply(change) }
    }

    func noteRefused(_ bytes: Int, _ account: Account) throws {
        try db.update("folder", id: account.tightest.id, ["refused": bytes])
    }

    private func saveWork() throws {
        try db.run(
            "UPDATE work SET byKeys = ?, byLeases = ? WHERE session = ? AND folder = ?",
            [work.byKeys, work.byLeases, target.session.text, folder.id.text]
        )
    }

    // MARK: Leases

    mutating func lease(_ id: ControlID, _ bytes: Int, rate: Int, isExact: Bool) throws -> LeaseGrant {
        let asked = try db.first("SELECT session, folder, bytes, expires FROM lease WHERE id = ?", [id.text]) { row in
            guard try row.id("session") == target.session, try row.id("folder") == folder.id else {
                throw HawserError(.conflict, "This lease is another's.", place: id.text)
            }
            let end = Moment(milliseconds: row["expires"])
            return LeaseGrant(lease: id, bytes: row["bytes"], expiresIn: max(.zero, end - transaction.now))
        }
        if let asked { return asked }
        let open: Int? = try db.first(
            "SELECT count(*) FROM lease WHERE session = ? AND folder = ?",
            [target.session.text, folder.id.text]
        ) { $0[0] }
        guard open ?? 0 < LedgerSettings.mostLeases else {
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
            // Without a rate it is what is needed, whoever else there is.
            let sessions = rate > 0 ? try db.liveSessions(of: target.tenant) : 1
            amount = settings.leaseSize(needed: bytes, rate: rate, free: account.free, sessions: sessions)
        }
        try apply(.init(reserved: amount, outside: isOutside ? amount : 0))
        let lifetime = Duration.seconds(settings.leaseLifetime)
        try db.run(
            """
            INSERT INTO lease (id, session, folder, bytes, remaining, isExact, isOutside, expires)
            VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
            """,
            [
                id.text, target.session.text, folder.id.text, amount, isExact, isOutside,
                (transaction.now + lifetime).milliseconds,
            ]
        )
        return LeaseGrant(lease: id, bytes: amount, expiresIn: lifetime)
    }

    /// A lease that is gone was settled before, or has expired: its bytes are booked already.
    mutating func settle(_ id: ControlID, used: Int) throws {
        try checkBytes(used)
        guard let lease = try lease(id) else { return }
        // Nobody stores more in a lease's life than a lease can be for and as much again beyond it: what else is there a
        // listing finds.
        let used = min(used, 2 * max(lease.bytes, LedgerSettings.largestLease))
        guard !lease.isExact || lease.told == nil else { return }
        let before = work.booked
        work.add(byLeases: max(0, used - (lease.told ?? 0)))
        try book(work.booked - before, first: (id, lease))
        try saveWork()
        guard lease.isExact else {
            try db.run("UPDATE lease SET used = ? WHERE id = ?", [max(used, lease.told ?? 0), id.text])
            return
        }
        let remaining = try self.lease(id)?.remaining ?? 0
        // What was told object by object so far may have been taken from other leases: as much as was used stays.
        let kept = min(remaining, max(0, used - (lease.bytes - remaining)))
        let back = remaining - kept
        try apply(.init(reserved: -back, outside: lease.isOutside ? -back : 0))
        if kept == 0 {
            try db.run("DELETE FROM lease WHERE id = ?", [id.text])
        } else {
            try db.run("UPDATE lease SET used = ?, remaining = ? WHERE id = ?", [used, kept, id.text])
        }
    }

    private struct Lease {
        var bytes: Int
        var remaining: Int
        var told: Int?
        var isExact: Bool
        var isOutside: Bool
    }

    private func lease(_ id: ControlID) throws -> Lease? {
        try db.first(
            "SELECT bytes, remaining, used, isExact, isOutside FROM lease WHERE id = ? AND session = ? AND folder = ?",
            [id.text, target.session.text, folder.id.text]
        ) { Lease(bytes: $0[0], remaining: $0[1], told: $0[2], isExact: $0[3], isOutside: $0[4]) }
    }

    /// Bytes that are in the storage: taken from what was set aside for them, as far as it reaches. What is beyond is
    /// there all the same, over the limit or not; of a subtenant only up to its own limit, until a listing has found more,
    /// so that its word alone never takes room from its tenant.
    ///
    /// - Parameter first: the lease to take from first: none that gave back what was not used.
    private mutating func book(_ bytes: Int, first: (id: ControlID, lease: Lease)? = nil) throws {
        guard bytes > 0 else { return }
        var left = bytes
        func draw(_ drawn: Int, from id: String) throws {
            left -= drawn
            try db.run("UPDATE lease SET remaining = remaining - ? WHERE id = ?", [drawn, id])
        }
        if let first, first.lease.remaining > 0 { try draw(min(left, first.lease.remaining), from: first.id.text) }
        // Mostly nothing is left to take, and a session can have a thousand leases.
        let others =
            left == 0
            ? []
            : try db.rows(
                """
                SELECT id, remaining, used IS NOT NULL AND isExact AS isSettled FROM lease
                WHERE session = ? AND folder = ? AND remaining > 0 AND id <> ? ORDER BY NOT isSettled, expires
                """,
                [target.session.text, folder.id.text, first?.id.text ?? ""]
            )
        for row in others where left > 0 {
            let id: String = row["id"]
            try draw(min(left, row["remaining"]), from: id)
            if row["isSettled"] { try db.run("DELETE FROM lease WHERE id = ? AND remaining = 0", [id]) }
        }
        let drawn = bytes - left
        if left > 0, folder.subtenant != nil { left = min(left, try account().own.free ?? left) }
        try apply(.init(committed: drawn + left, reserved: -drawn))
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
    mutating func settleTicket(_ object: ObjectRecord, isStored: Bool) throws {
        guard let row = try reservation(object), row["state"] == "reserved" else { return }
        try settleTicket(row, object, isStored: isStored)
    }

    private mutating func settleTicket(_ row: Row, _ object: ObjectRecord, isStored: Bool) throws {
        let place: StatementArguments = [target.session.text, folder.id.text, object.key, object.length]
        if isStored {
            // A listing that has ended has counted it.
            let isCounted = !isListing && round > 0 && row["listed"] == round
            let booked = isCounted ? 0 : object.length
            try apply(.init(committed: booked, reserved: -object.length))
            try db.run(
                """
                UPDATE reservation SET state = 'committed', expires = NULL, booked = ?, round = ?
                WHERE session = ? AND folder = ? AND key = ? AND length = ?
                """,
                [booked, round] + place
            )
        } else {
            let outside = row["isOutside"] as Bool ? -object.length : 0
            try apply(.init(reserved: -object.length, outside: outside))
            try db.run("DELETE FROM reservation WHERE session = ? AND folder = ? AND key = ? AND length = ?", place)
        }
    }

    mutating func tickets(_ objects: [ObjectRecord]) throws -> [TicketOutcome] {
        guard try database.hasRoom(for: objects.count, in: folder, transaction) else {
            throw HawserError(
                .tooManyRequests,
                "More objects were stored in the last two days than this server keeps in mind for one folder.",
                isRetryable: true,
                retryAfter: .seconds(600)
            )
        }
        var account = try account()
        var sum = Transaction.Change()
        let outcomes = try objects.map { object in
            let (outcome, change) = try ticket(object, account)
            account.apply(change)
            sum.reserved += change.reserved
            sum.outside += change.outside
            return outcome
        }
        // Together, as the folder's row is the same for all.
        if sum.reserved > 0 { try apply(sum) }
        if let refused = outcomes.lastIndex(where: \.isRefused) { try noteRefused(objects[refused].length, account) }
        return outcomes
    }

    private func ticket(_ object: ObjectRecord, _ account: Account) throws -> (TicketOutcome, Transaction.Change) {
        let lifetime = Duration.seconds(settings.ticketLifetime)
        let end = (transaction.now + lifetime + .seconds(settings.ticketGrace)).milliseconds
        let shortage = account.shortage(object.length)
        let isOutside = shortage != nil && purpose == .prune && account.allowsOutside(object.length, settings)
        if shortage == nil || isOutside {
            try db.run(
                """
                INSERT INTO reservation (session, folder, key, length, state, isOutside, expires, ticketEnd)
                VALUES (?1, ?2, ?3, ?4, 'reserved', ?5, ?6, ?6) ON CONFLICT DO NOTHING
                """,
                [target.session.text, folder.id.text, object.key, object.length, isOutside, end]
            )
            if db.changesCount > 0 {
                let change = Transaction.Change(reserved: object.length, outside: isOutside ? object.length : 0)
                return (.granted(expiresIn: lifetime), change)
            }
        }
        guard let row = try reservation(object) else {
            guard let shortage else { throw Row.damaged("reservation") }
            return (.refused(shortage), .init())
        }
        guard row["state"] == "reserved" else { return (.stored, .init()) }
        try db.run(
            """
            UPDATE reservation SET expires = ?1, ticketEnd = ?1
            WHERE session = ?2 AND folder = ?3 AND key = ?4 AND length = ?5
            """,
            [end, target.session.text, folder.id.text, object.key, object.length]
        )
        return (.granted(expiresIn: lifetime), .init())
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
