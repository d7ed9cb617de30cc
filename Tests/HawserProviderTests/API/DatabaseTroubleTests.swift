import HawserControl
import HawserFormat
import NIOHTTP1
import Testing

@testable import HawserProvider

/// What tenants see of a database that can't be written.
@Suite struct DatabaseTroubleTests {
    private func commit(_ client: TestClient, _ session: SessionAnswer) async throws -> TestClient.Answer {
        try await client.post(
            ControlAPI.commits(client.provider.repository),
            CommitRequest(objects: (0..<100).map { _ in object(10) }),
            token: session.token
        )
    }

    private func poll(_ client: TestClient, _ session: SessionAnswer) async throws -> SessionState {
        try await client.send(.GET, ControlAPI.session(session.session), token: session.token).value()
    }

    /// The server's trouble is not told to tenants; they come again.
    private func expectUnavailable(_ answer: TestClient.Answer) {
        #expect(answer.status == 503)
        #expect(answer.code == "unavailable")
        #expect(answer.headers.contains(name: "retry-after"))
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect(!text.contains("disk") && !text.contains("owner"))
    }

    @Test func aFullDiskPassesAndNothingThatWasAnsweredIsLost() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            try await provider.database.leaveRoom(pages: 32)
            var stored = 0
            var answer = try await commit(client, session)
            while answer.status == 200 {
                stored += 1000
                answer = try await commit(client, session)
            }
            expectUnavailable(answer)
            #expect(stored > 0)
            #expect(try await poll(client, session).repositories[0].quota.used == stored)
            try await provider.database.leaveRoom(pages: 1_000_000)
            #expect(try await commit(client, session).status == 200)
            #expect(try await poll(client, session).repositories[0].quota.used == stored + 1000)
        }
    }

    @Test func aReadOnlyDatabasePassesAndSessionsLiveOn() async throws {
        try await withProvider { provider, client in
            let device = try await client.register()
            let session = try await client.signIn(device)
            try await provider.database.setReadOnly(true)
            expectUnavailable(try await commit(client, session))
            let request = try client.signInRequest(device, nonce: try await client.nonce())
            expectUnavailable(try await client.post(ControlAPI.sessions, request))
            #expect(try await poll(client, session).repositories[0].quota.used == 0)
            try await provider.database.setReadOnly(false)
            #expect(try await commit(client, session).status == 200)
        }
    }
}
