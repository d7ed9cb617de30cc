import CHawser
import Dispatch
import GRDB
import Glibc
import HawserFormat

extension ConfigurationDatabase {
    /// A copy of the database while it is in use, in one moment's state. The provider key is not in it.
    ///
    /// - Parameter file: must not exist.
    public func backup(to file: String, actor: String = "server") async throws {
        try Self.makePrivateFile(file)
        let pool = pool
        do {
            try await onQueue {
                let copy = try DatabaseQueue(path: file)
                try pool.backup(to: copy)
                // One file, without a log beside it.
                try copy.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
                try copy.close()
            }
        } catch {
            unlink(file)
            throw providerError(error, place: file)
        }
        try await write(actor: actor) { try $0.audit("database.backup", file) }
    }

    /// Puts a backup in the place of the database, and opens it in recovery: all sessions and join codes are void, only
    /// restores are possible, and writes open folder by folder once a listing has told what is there.
    ///
    /// - Parameters:
    ///   - path: where the database belongs. What is there is kept beside it.
    ///   - takeOver: also when a server seems to be running.
    /// - Throws: `wrongProviderKey`, `alreadyRunning`; `damaged` for a backup that is.
    public static func restore(
        from file: String,
        to path: String,
        key: ProviderKey,
        takeOver: Bool = false,
        clock: ProviderClock = ProviderClock()
    ) async throws -> ConfigurationDatabase {
        let new = path + ".restored"
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(new + suffix) }
        try makePrivateFile(new, ownedAs: parentFolder(of: path))
        do {
            try await onQueue {
                try prepare(file, copiedTo: new, key, clock)
                try checkStopped(path, takeOver: takeOver, now: clock.wall)
                try moveAside(path, at: clock.wall)
            }
        } catch {
            unlink(new)
            throw providerError(error, place: file)
        }
        guard rename(new, path) == 0 else { throw fileError("The restored database can't be put in its place", path) }
        return try open(path, key: key, clock: clock)
    }

    private static func prepare(_ file: String, copiedTo new: String, _ key: ProviderKey, _ clock: ProviderClock) throws
    {
        var configuration = Configuration()
        configuration.readonly = true
        let source = try DatabaseQueue(path: file, configuration: configuration)
        let copy = try DatabaseQueue(path: new)
        try source.backup(to: copy)
        try copy.write { db in
            guard try String.fetchOne(db, sql: "PRAGMA integrity_check") == "ok", try db.tableExists("owner") else {
                throw HawserError(.damaged, "The backup is damaged, or is none of a configuration database.")
            }
            if try Schema.migrator.hasBeenSuperseded(db) { throw laterVersion }
        }
        try Schema.migrator.migrate(copy)
        try copy.write { db in
            try checkKey(key, db)
            let steady = max(clock.wall, Moment(milliseconds: try Setting.steady.read(db) ?? 0))
            let epoch = try Setting.epoch.read(db) ?? 0
            try Setting.epoch.set(epoch + 1, db)
            try Setting.steady.set(steady.milliseconds, db)
            try Setting.recovery.set(RecoveryState(since: steady, isApproved: false), db)
            try db.execute(sql: "UPDATE owner SET process = ''")
            try db.execute(sql: "UPDATE session SET ended = ? WHERE ended IS NULL", arguments: [steady.milliseconds])
            // Whatever the clocks were: these came before.
            let sql = "UPDATE deletion SET requested = min(requested, ?)"
            try db.execute(sql: sql, arguments: [steady.milliseconds])
            // Credentials that were issued since are not known: none is handed out again.
            try forgetHandedOut(db)
            try Transaction(db, clock: clock, actor: "restore").audit("database.restore", "epoch \(epoch + 1)")
        }
        try copy.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
        try copy.close()
    }

    private static func checkStopped(_ path: String, takeOver: Bool, now: Moment) throws {
        guard access(path, F_OK) == 0 else { return }
        // What is so damaged that it can't be read has no server that works with it.
        guard let old = try? DatabaseQueue(path: path) else { return }
        let row = try? old.read { try $0.row("SELECT * FROM owner WHERE id = 1") }
        if !takeOver { try row.map { try ServerOwner.checkGone($0, now: now) } }
        // A server that is there all the same, and keeps the file open under its new name, finds its fence gone.
        if row != nil { try? old.write { try $0.execute(sql: "UPDATE owner SET fence = fence + 1, process = ''") } }
        try old.close()
    }

    private static func moveAside(_ path: String, at time: Moment) throws {
        for suffix in ["", "-wal", "-shm"] where access(path + suffix, F_OK) == 0 {
            guard rename(path + suffix, "\(path).replaced-\(time.milliseconds)\(suffix)") == 0 else {
                throw fileError("The old database can't be moved aside", path + suffix)
            }
        }
    }

    static func makePrivateFile(_ path: String, ownedAs owner: String? = nil) throws {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST { throw HawserError(.conflict, "There is such a file already.", place: path) }
            throw fileError("The file can't be made", path)
        }
        defer { Glibc.close(descriptor) }
        do {
            if let owner { try giveToOwner(of: owner, descriptor) }
        } catch {
            unlink(path)
            throw error
        }
    }
}

func parentFolder(of file: String) -> String {
    let end = file.lastIndex(of: "/")
    return end.map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? "."
}

/// What root makes for the service is its user's, as what lies at `path` is: the service could not open it otherwise.
/// SQLite gives the files beside a database the database's owner.
func giveToOwner(of path: String, _ descriptor: Int32) throws {
    guard geteuid() == 0 else { return }
    var status = hawser_file_status()
    guard hawser_file_status(AT_FDCWD, path, 1, &status) == 0, fchown(descriptor, status.user, status.group) == 0 else {
        throw fileError("A file can't be given to the owner of this", path)
    }
}

func fileError(_ what: String, _ path: String) -> HawserError {
    HawserError(.fileSystem, "\(what): \(String(cString: strerror(errno))).", place: path)
}

/// Work that waits for disks, away from the cooperative pool.
func onQueue<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result(catching: body)) }
    }
}
