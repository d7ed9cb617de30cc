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
                try await provider.database.setReadOnly(true)
                // With its next sign of life.
                try await provider.log.wait(for: "The configuration database can't be written")
                #expect(!server.isReady)
                try await provider.database.setReadOnly(false)
                try await provider.log.wait(for: "The configuration database can be written again")
                #expect(server.isReady)
                let told = provider.log.lines.filter { $0.contains("The configuration database can't be written") }
                #expect(told.count == 1)
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
