import GRDB
import Glibc
import HawserFormat

/// Which process writes. Not a lock on the file, which a network file system or a copy would fool, but a row with a
/// number that each transaction checks.
struct ServerOwner {
    /// An owner that was silent for so long is gone.
    static let heartbeatLimit = Duration.seconds(60)

    let fence: Int64

    /// - Parameter takeOver: whoever owns it now, or seems to.
    /// - Throws: `alreadyRunning`.
    static func take(_ db: Database, now: Moment, takeOver: Bool) throws -> ServerOwner {
        guard let row = try db.row("SELECT * FROM owner WHERE id = 1") else { throw Row.damaged("owner") }
        if !takeOver { try checkGone(row, now: now) }
        let fence: Int64 = row["fence"] + 1
        try db.run(
            "UPDATE owner SET fence = ?, process = ?, host = ?, heartbeat = ? WHERE id = 1",
            [fence, ProcessName.current.text, ProcessName.host, now.milliseconds]
        )
        return ServerOwner(fence: fence)
    }

    /// - Throws: `alreadyRunning` when the owner seems to be alive.
    static func checkGone(_ row: Row, now: Moment) throws {
        let process: String = row["process"]
        let heartbeat = Moment(milliseconds: row["heartbeat"])
        // A heartbeat of the future comes from another machine's clock, or this one's was set back.
        guard !process.isEmpty, now < heartbeat + heartbeatLimit, !ProcessName(process).isGone else { return }
        throw HawserError(
            .alreadyRunning,
            "A server on `\(row["host"] as String)` (\(process)) writes to this database. Stop it; or, when it is "
                + "certain that it is gone, use --take-over.",
            isRetryable: true
        )
    }

    /// - Throws: `takenOver`.
    func check(_ db: Database) throws {
        let fence = try Int64.fetchOne(db.cachedStatement(sql: "SELECT fence FROM owner WHERE id = 1"))
        guard fence == self.fence else {
            throw HawserError(
                .takenOver,
                "Another server has taken over the configuration database: nothing was written. Stop this server."
            )
        }
    }
}

/// A process that can be told from all others: start of the machine, namespace, number.
struct ProcessName {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    static let current = ProcessName("\(place)/\(getpid())")

    /// Of this machine, since it started, and of the container this process lives in.
    private static let place: String = {
        let boot = read("/proc/sys/kernel/random/boot_id")
        var buffer = [CChar](repeating: 0, count: 64)
        let count = max(0, readlink("/proc/self/ns/pid", &buffer, buffer.count))
        return boot + "/" + String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    static var host: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "?" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Known only of a process of the same machine and container; of any other the heartbeat decides.
    var isGone: Bool {
        guard text.hasPrefix(Self.place + "/"), let number = pid_t(text.dropFirst(Self.place.utf8.count + 1)) else {
            return false
        }
        return number != getpid() && kill(number, 0) != 0 && errno == ESRCH
    }

    private static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = max(0, Glibc.read(descriptor, &buffer, buffer.count))
        return String(decoding: buffer.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
