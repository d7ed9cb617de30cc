import GRDB
import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct GroupCommitTests {
    /// Counts the transactions of the writer.
    private final class Commits: TransactionObserver {
        let count = Shared(0)

        func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool { false }
        func databaseDidChange(with event: DatabaseEvent) {}
        func databaseDidCommit(_ db: Database) { count.withLock { $0 += 1 } }
        func databaseDidRollback(_ db: Database) {}
    }

    @Test func whatArrivesTogetherIsOneTransaction() async throws {
        try await TestProvider.with { provider in
            let commits = Commits()
            let database = provider.database
            database.pool.add(transactionObserver: commits, extent: .databaseLifetime)
            let results = await withTaskGroup(of: (Int, Result<Int, any Error>).self) { group in
                for number in 0..<400 {
                    group.addTask {
                        do {
                            let written = try await database.write { transaction in
                                try transaction.db.execute(
                                    sql: "INSERT INTO setting VALUES (?, '0')",
                                    arguments: ["test\(number)"]
                                )
                                if number % 10 == 0 { throw HawserError(.conflict, "on purpose") }
                                return number
                            }
                            return (number, .success(written))
                        } catch {
                            return (number, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: [Int: Result<Int, any Error>]()) { $0[$1.0] = $1.1 }
            }
            // A write that fails undoes itself, and none beside it.
            for number in 0..<400 {
                let value = try? results[number]?.get()
                #expect(value == (number % 10 == 0 ? nil : number))
            }
            let kept = try await database.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM setting WHERE name LIKE 'test%'")
            }
            #expect(kept == 360)
            let count = commits.count.withLock { $0 }
            #expect((2..<400).contains(count), "\(count) transactions")
        }
    }

    /// A failed statement of one can cost SQLite the whole transaction: then all hear of it, and nothing is there.
    @Test func aTransactionThatIsLostIsLostForAll() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            let codes = await withTaskGroup(of: HawserError.Code?.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        do {
                            try await database.write { transaction in
                                let sql = number == 25 ? "ROLLBACK" : "INSERT INTO setting VALUES ('t\(number)', '0')"
                                try transaction.db.execute(sql: sql)
                                if number == 25 { throw HawserError(.unavailable, "lost") }
                            }
                            return nil
                        } catch {
                            return (error as? HawserError)?.code
                        }
                    }
                }
                return await group.reduce(into: [HawserError.Code?]()) { $0.append($1) }
            }
            let kept = try await database.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM setting WHERE name GLOB 't[0-9]*'")
            }
            #expect(codes.contains(.unavailable))
            #expect(codes.count { $0 == nil } == kept)
            _ = try await database.addTenant("after")
        }
    }
}
