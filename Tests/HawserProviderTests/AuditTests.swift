import Foundation
import GRDB
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct AuditTests {
    private func tamper(_ database: ConfigurationDatabase, _ sql: String) async throws {
        try await database.pool.write { db in
            try db.execute(sql: "DROP TRIGGER IF EXISTS auditStays; DROP TRIGGER IF EXISTS auditKeeps; " + sql)
        }
    }

    @Test func theLogOnlyGrows() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            for name in ["a", "b", "c"] { _ = try await database.addTenant(name, actor: "root") }
            let entries = try await database.auditEntries(limit: 10)
            #expect(entries.map(\.subject) == ["c", "b", "a"])
            #expect(entries.allSatisfy { $0.action == "tenant.add" && $0.actor == "root" })
            #expect(try await database.auditEntries(limit: 10, action: "device").isEmpty)
            let proof = try await database.verifyAudit()
            #expect(proof.entries == 3)
            #expect(proof.lastHash == entries.first?.hash)
            for sql in ["UPDATE audit SET subject = 'x' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 3"] {
                #expect(throws: DatabaseError.self) { try database.pool.write { try $0.execute(sql: sql) } }
            }
            #expect(try await database.verifyAudit() == proof)
        }
    }

    @Test(arguments: [
        ("UPDATE audit SET subject = 'x' WHERE sequence = 2", 2),
        ("UPDATE audit SET time = time + 1 WHERE sequence = 1", 1),
        ("UPDATE audit SET action = 'tenant.adda', subject = '' WHERE sequence = 3", 3),
        ("DELETE FROM audit WHERE sequence = 2", 2),
        ("DELETE FROM audit WHERE sequence = 2; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 2", 2),
    ])
    func tamperingIsFound(sql: String, entry: Int) async throws {
        try await TestProvider.with { provider in
            for name in ["a", "b", "c", "d"] { _ = try await provider.database.addTenant(name) }
            _ = try await provider.database.verifyAudit()
            try await tamper(provider.database, sql)
            let error = await expectError(.damaged) { try await provider.database.verifyAudit() }
            #expect(error?.place == "audit/\(entry)")
        }
    }

    /// A cut-off end leaves a chain that holds; the hash that was kept elsewhere tells.
    @Test func aCutEndHasAnotherLastHash() async throws {
        try await TestProvider.with { provider in
            for name in ["a", "b", "c"] { _ = try await provider.database.addTenant(name) }
            let proof = try await provider.database.verifyAudit()
            try await tamper(provider.database, "DELETE FROM audit WHERE sequence = 3")
            #expect(try await provider.database.verifyAudit() != proof)
        }
    }
}
