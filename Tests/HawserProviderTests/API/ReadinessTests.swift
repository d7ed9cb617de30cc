import GRDB
import Testing

@testable import HawserProvider

@Suite struct ReadinessTests {
    @Test func aServerThatCantWriteIsNotReady() async throws {
        try await withProviderFolder { provider in
            let (ports, running) = AsyncStream.makeStream(of: Int.self)
            let server = ProviderServer(
                provider.configuration(),
                database: provider.database,
                logger: provider.log.logger
            ) { running.yield($0) }
            #expect(!server.isReady)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    defer { running.finish() }
                    try await server.run()
                }
                defer { tasks.cancelAll() }
                _ = try #require(await ports.first { _ in true })
                #expect(server.isReady)
                let pool = provider.database.pool
                try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA query_only = 1") }
                // With its next sign of life.
                while server.isReady { try await Task.sleep(for: .milliseconds(20)) }
                let told = provider.log.lines.filter { $0.contains("The configuration database can't be written") }
                #expect(told.count == 1)
                try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA query_only = 0") }
                while !server.isReady { try await Task.sleep(for: .milliseconds(20)) }
                tasks.cancelAll()
                while await tasks.nextResult() != nil {}
            }
            #expect(!server.isReady)
        }
    }

    @Test func itIsToldEachMinuteWhileItLasts() {
        let health = DatabaseHealth()
        let start = ContinuousClock.now
        #expect(health.isGood)
        let told = (0..<125).filter { health.failed(at: start + .seconds($0)) }
        #expect(told == [0, 60, 120])
        #expect(!health.isGood)
        #expect(health.succeeded())
        #expect(health.isGood)
        #expect(!health.succeeded())
        #expect(health.failed(at: start))
    }
}
