import GRDB
import HawserFormat

/// Something that people name.
protocol NamedRecord: Sendable {
    /// The table, and the word for people.
    static var kind: String { get }

    init(_ row: Row) throws
}

extension TenantRecord: NamedRecord {
    static var kind: String { "tenant" }
}

extension StorageRecord: NamedRecord {
    static var kind: String { "storage" }
}

extension RepositoryRecord: NamedRecord {
    static var kind: String { "repository" }
}

extension GatewayRecord: NamedRecord {
    static var kind: String { "gateway" }
}

extension ConfigurationDatabase {
    /// By its name; ids are taken too.
    ///
    /// - Throws: `notFound`.
    func find<Record: NamedRecord>(_ name: String) async throws -> Record {
        let kind = Record.kind
        let found = try await read { db in
            try db.row("SELECT * FROM \(kind) WHERE name = ?1 OR id = ?1 ORDER BY name = ?1 DESC", [name])
                .map(Record.init)
        }
        guard let found else { throw HawserError(.notFound, "There is no such \(kind).", place: name) }
        return found
    }
}
