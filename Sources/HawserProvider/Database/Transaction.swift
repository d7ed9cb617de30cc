import GRDB
import HawserControl

/// What a write sees: the database inside a transaction, the time, and what is to happen once it is durable.
final class Transaction {
    let db: Database
    /// Of `ProviderClock.steady`: the same for the whole write.
    let now: Moment
    let wall: Moment
    /// Who asked, for the audit log.
    let actor: String
    private(set) var changes: [ProviderChange] = []
    private(set) var afterCommit: [@Sendable () -> Void] = []

    init(_ db: Database, clock: ProviderClock, actor: String) {
        self.db = db
        now = clock.steady
        wall = clock.wall
        self.actor = actor
    }

    /// Spread once the write is durable.
    func publish(_ change: ProviderChange) {
        changes.append(change)
    }

    func afterCommit(_ body: @escaping @Sendable () -> Void) {
        afterCommit.append(body)
    }
}

/// Rows that are written: column names are literals of this module, values are bound.
extension Database {
    typealias Values = KeyValuePairs<String, (any DatabaseValueConvertible)?>

    func insert(_ table: String, _ values: Values) throws {
        let columns = values.map(\.key).joined(separator: ", ")
        let marks = values.map { _ in "?" }.joined(separator: ", ")
        try cachedStatement(sql: "INSERT INTO \(table) (\(columns)) VALUES (\(marks))")
            .execute(arguments: StatementArguments(values.map(\.value)))
    }

    /// - Returns: whether there is such a row.
    @discardableResult
    func update(_ table: String, id: ControlID, _ values: Values) throws -> Bool {
        let columns = values.map { $0.key + " = ?" }.joined(separator: ", ")
        try cachedStatement(sql: "UPDATE \(table) SET \(columns) WHERE id = ?")
            .execute(arguments: StatementArguments(values.map(\.value) + [id.text]))
        return changesCount > 0
    }

    func run(_ sql: String, _ arguments: StatementArguments = []) throws {
        try cachedStatement(sql: sql).execute(arguments: arguments)
    }

    func row(_ sql: String, _ arguments: StatementArguments = []) throws -> Row? {
        try Row.fetchOne(cachedStatement(sql: sql), arguments: arguments)
    }

    /// What `make` reads in the first row, where it lies: in a copy each column is searched for from the first one on, which
    /// costs more than the query.
    func first<Value>(
        _ sql: String,
        _ arguments: StatementArguments = [],
        _ make: (Row) throws -> Value
    ) throws -> Value? {
        let cursor = try Row.fetchCursor(cachedStatement(sql: sql), arguments: arguments)
        return try withExtendedLifetime(cursor) { try cursor.next().map(make) }
    }

    func rows(_ sql: String, _ arguments: StatementArguments = []) throws -> [Row] {
        try Row.fetchAll(cachedStatement(sql: sql), arguments: arguments)
    }
}
