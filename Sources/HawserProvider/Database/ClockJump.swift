import GRDB
import HawserControl
import HawserFormat

/// At a start the wall clock was days ahead of where time had come to: the server was off for so long, or the clock is wrong.
public struct ClockJump: Codable, Sendable, Hashable {
    /// By the steady clock, which goes on from there.
    public var last: Moment
    public var wall: Moment
    /// When the provider said that the clock is right, by it. The next start goes by the wall clock then.
    public var approved: Moment?
}

extension ConfigurationDatabase {
    // Servers are seldom off for longer, and what is kept for some days is kept so much shorter at worst.
    private static let longestAway = Duration.seconds(3 * 86_400)

    /// Where the steady clock starts: at the wall clock or where it had come to, whichever is later. A wall clock that is days
    /// ahead would end what is kept for some days (insider protection, removed tenants): before the provider has approved
    /// it, time goes on where it was.
    static func startOfTime(_ clock: ProviderClock, _ db: Database) throws -> Moment {
        let wall = clock.wall
        let last = try Setting.steady.read(db).map { Moment(milliseconds: $0) } ?? wall
        let known = try Setting.clockJump.read(db)
        guard wall - last > longestAway, known?.approved.map({ wall - $0 > longestAway }) ?? true else {
            let start = max(wall, last)
            try Setting.clockJump.set(nil, db)
            // Or an approval would be used up by a start that is killed.
            try Setting.steady.set(start.milliseconds, db)
            return start
        }
        try Setting.clockJump.set(ClockJump(last: last, wall: wall), db)
        // They may have ended meanwhile.
        try forgetHandedOut(db)
        if known == nil {
            try Transaction(db, clock: clock, actor: "server").audit("clock.held", "server", "\(last) to \(wall)")
        }
        return last
    }

    /// Join codes, and credentials of the storages.
    static func forgetHandedOut(_ db: Database) throws {
        try db.execute(sql: "DELETE FROM joinCode")
        try db.execute(sql: "DELETE FROM secret WHERE name IN (SELECT 'credential/' || id FROM credential)")
        try db.execute(sql: "DELETE FROM credential")
    }

    /// `nil` when the steady clock started as usual.
    public func clockJump() async throws -> ClockJump? {
        try await read { try Setting.clockJump.read($0) }
    }

    /// From the next start on the server goes by the wall clock.
    ///
    /// - Throws: `notFound` when it does already.
    public func approveClock(actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            guard var jump = try Setting.clockJump.read(transaction.db) else {
                throw HawserError(.notFound, "The server goes by the clock: there is nothing to approve.")
            }
            jump.approved = transaction.wall
            try Setting.clockJump.set(jump, transaction.db)
            try transaction.audit("clock.approve", "server", "\(transaction.wall)")
        }
    }
}

extension Setting<ClockJump> {
    fileprivate static var clockJump: Setting { Setting(name: "clockJump") }
}

extension ProviderAlarm {
    init?(_ jump: ClockJump?) {
        guard let jump, jump.approved == nil else { return nil }
        self.init(
            code: "clock_held",
            subject: "server",
            message:
                "At the start the clock was at \(jump.wall), and \(jump.last) was the last time known. Nothing that is kept "
                + "for some days ends by this: mend the clock, or say `recovery approve --clock`; then restart the server."
        )
    }
}
