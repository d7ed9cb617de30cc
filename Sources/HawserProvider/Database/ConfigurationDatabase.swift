import CHawser
import GRDB
import Glibc
import HawserControl
import HawserFormat
import Synchronization

/// All that the provider's server knows, in one SQLite file: storages, tenants, the ledger, sessions, the audit log.
///
/// One process writes. Everything that returns from a writing method is durable (`synchronous=FULL`), also through a loss
/// of power. Methods throw `HawserError`: `notFound`, `conflict`, `invalidArgument` for wrong requests; `storageFull`,
/// `accessDenied`, `unavailable`, `takenOver` when the database can't be written, and then nothing was.
public final class ConfigurationDatabase: Sendable {
    /// Must be handed on to nobody who does not need it.
    let key: KeyHolder
    let clock: ProviderClock
    let pool: DatabasePool
    let sessions: SessionTable
    let sessionStates = SessionStates()
    public let path: String
    public let feed: ChangeFeed
    /// Counts restores from backups; changes only while no server runs.
    let epoch: Int64
    /// Folders that are being listed.
    let listings = Mutex<Set<ControlID>>([])
    /// Rows of `reservation` in each folder: at most, as some may have been deleted since they were counted.
    let notes = Mutex<[ControlID: Notes]>([:])
    /// What was done in folders since the last beat, for bills.
    let counted = Mutex<[ControlID: MoverUsage]>([:])
    /// As the database has them.
    let ledgerNumbers: Mutex<LedgerSettings>
    private let writer: GroupCommit

    struct Notes {
        var count: Int
        var counted: Moment
    }

    /// - Parameters:
    ///   - creating: makes the file, which must not exist; otherwise it must.
    ///   - takeOver: also when another server seems to be running.
    /// - Throws: `alreadyRunning`, `wrongProviderKey`; `unsupported` for a database of a later version.
    public static func open(
        _ path: String,
        key: ProviderKey,
        creating: Bool = false,
        takeOver: Bool = false,
        clock: ProviderClock = ProviderClock()
    ) throws -> ConfigurationDatabase {
        do {
            try checkFile(path, creating: creating)
            return try ConfigurationDatabase(path, key: key, takeOver: takeOver, clock: clock)
        } catch {
            throw providerError(error, place: path)
        }
    }

    private init(_ path: String, key: ProviderKey, takeOver: Bool, clock: ProviderClock) throws {
        self.path = path
        self.key = KeyHolder(key)
        feed = ChangeFeed()
        var configuration = Configuration()
        configuration.label = "hawser.provider"
        // Other processes write only while a command works on a stopped server.
        configuration.busyMode = .timeout(5)
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB sets NORMAL, which loses the last commits with the power: leases that were handed out already.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        // KiB: the pages of 10,000 tenants' ledgers; only what is used is taken.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA cache_size = -65536") }
        let migrator = Schema.migrator
        // Whoever could not go on with this key ends no server that can.
        let take = { (db: Database) in
            try Self.checkKey(key, db)
            return try ServerOwner.take(db, now: clock.wall, takeOver: takeOver)
        }
        let owner = try pool.write { db in
            if try migrator.hasBeenSuperseded(db) { throw Self.laterVersion }
            // Whoever runs must not have the tables changed under it.
            return try db.tableExists("owner") ? take(db) : nil
        }
        try migrator.migrate(pool)
        let (taken, start, epoch) = try pool.write { db in
            let taken = try owner ?? take(db)
            try Self.sealWebhooks(key, db)
            return (taken, try Self.startOfTime(clock, db), try Setting.epoch.read(db) ?? 0)
        }
        let steady = clock.starting(at: start)
        self.clock = steady
        self.pool = pool
        self.epoch = epoch
        sessions = SessionTable(clock: steady)
        ledgerNumbers = Mutex(try pool.read { try Setting.ledger.read($0) } ?? LedgerSettings())
        writer = GroupCommit(pool, clock: steady, feed: feed) { try taken.check($0) }
        try pool.read { try sessions.load($0) }
    }

    static var laterVersion: HawserError {
        HawserError(
            .unsupported,
            "The configuration database was written by a later version of hawser-provider. Use that version."
        )
    }

    private static func checkFile(_ path: String, creating: Bool) throws {
        if creating {
            try makePrivateFile(path, ownedAs: parentFolder(of: path))
        }
        var status = hawser_file_status()
        guard hawser_file_status(AT_FDCWD, path, 1, &status) == 0 else {
            throw HawserError(
                .notFound,
                "There is no configuration database here. Run `hawser-provider init` first.",
                place: path
            )
        }
        guard status.mode & 0o077 == 0 else {
            throw HawserError(
                .accessDenied,
                "Others may read the configuration database. Run `chmod 600` on it.",
                place: path
            )
        }
    }

    /// Opens what was sealed when the database was made.
    func isSealed(with key: ProviderKey) async throws -> Bool {
        try await read { db in
            do {
                try Self.checkKey(key, db)
                return true
            } catch let error as HawserError where error.code == .wrongProviderKey {
                return false
            }
        }
    }

    static func checkKey(_ key: ProviderKey, _ db: Database) throws {
        let name = "keyCheck"
        guard let row = try db.row("SELECT sealed FROM secret WHERE name = ?", [name]) else {
            try db.run(
                "INSERT INTO secret VALUES (?, ?)",
                [name, try key.seal(Secret(Array("hawser".utf8)), row: name)]
            )
            return
        }
        do {
            _ = try key.open(row["sealed"], row: name)
        } catch {
            throw HawserError(
                .wrongProviderKey,
                "This is not the provider key of this database. Give the key file that belongs to it."
            )
        }
    }

    /// Changes that running sessions have to hear of.
    public func changes() -> AsyncStream<[ProviderChange]> { feed.changes() }

    /// - Parameter actor: for the audit log.
    func write<Value: Sendable>(
        actor: String = "server",
        isLast: Bool = false,
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await writer.write(actor: actor, isLast: isLast, body)
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await pool.read(body)
        } catch {
            throw providerError(error, place: path)
        }
    }

    /// Gives the database up, so that another process may have it at once.
    public func close() async throws {
        try await writeUsage()
        try await write { transaction in
            try transaction.db.run("UPDATE owner SET process = '' WHERE id = 1")
            try Setting.steady.set(transaction.now.milliseconds, transaction.db)
        }
        do { try pool.close() } catch { throw providerError(error, place: path) }
    }
}
