import GRDB

/// A value of the whole database, as JSON.
struct Setting<Value: Codable & Sendable>: Sendable {
    let name: String

    func read(_ db: Database) throws -> Value? {
        try db.row("SELECT value FROM setting WHERE name = ?", [name])?.json("value")
    }

    func set(_ value: Value?, _ db: Database) throws {
        if let value {
            try db.run(
                "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                [name, try jsonText(value)]
            )
        } else {
            try db.run("DELETE FROM setting WHERE name = ?", [name])
        }
    }
}

extension Setting<Int64> {
    /// Where the steady clock had come to, milliseconds since 1970.
    static var steady: Setting { Setting(name: "steady") }
    /// Counts the restores of this database from backups.
    static var epoch: Setting { Setting(name: "epoch") }
    /// The hour since 1970 in which usage was sampled last.
    static var sampled: Setting { Setting(name: "sampled") }
}

extension Setting<String> {
    /// The words for people while maintenance is on.
    static var maintenance: Setting { Setting(name: "maintenance") }
}

extension Setting<LedgerSettings> {
    static var ledger: Setting { Setting(name: "ledger") }
}

extension Setting<RecoveryState> {
    static var recovery: Setting { Setting(name: "recovery") }
}

extension Setting<GivenAuthorities> {
    static var given: Setting { Setting(name: "givenAuthorities") }
}
