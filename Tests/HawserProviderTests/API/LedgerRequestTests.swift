import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct LedgerRequestTests {
    private let pack = "packs/d/ab/ab" + String(repeating: "0", count: 62)
    private let snapshot = "snapshots/" + String(repeating: "1", count: 64)

    @Test func leasesCommitsAndTheQuotaFitTogether() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            let path = ControlAPI.leases(provider.repository)
            let lease = try await client.post(path, LeaseRequest(bytes: 1000, rate: 0), token: session.token)
                .value(LeaseAnswer.self)
            #expect(lease.bytes >= 1000)
            #expect(lease.lease != nil)
            #expect(lease.expiresIn > 0)
            #expect(lease.quota.reserved >= lease.bytes)

            let objects = [ObjectRecord(key: pack, length: 900)]
            let commit = try await client.post(
                ControlAPI.commits(provider.repository),
                CommitRequest(objects: objects, snapshot: snapshot),
                token: session.token
            ).value(CommitAnswer.self)
            #expect(commit.quota.used == 900)
            #expect(commit.receivedAt > 1_700_000_000)

            let tooMuch = try await client.post(path, LeaseRequest(bytes: 2 << 30, rate: 0), token: session.token)
            #expect(tooMuch.status == 403)
            #expect(tooMuch.code == "quota_exceeded")
        }
    }

    @Test func aReadingSessionStoresNothing() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn(purpose: .restore)
            let lease = LeaseRequest(bytes: 10, rate: 0)
            #expect(
                try await client.post(ControlAPI.leases(provider.repository), lease, token: session.token).code
                    == "access_denied"
            )
            let grant = GrantRequest(purpose: .backup)
            #expect(
                try await client.post(ControlAPI.grants(provider.repository), grant, token: session.token).code
                    == "access_denied"
            )
        }
    }

    @Test func keysThatAreNoneAndTooManyAreRefused() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            let commits = ControlAPI.commits(provider.repository)
            for key in ["", "../other", "packs/d/zz", "/packs", String(repeating: "a", count: 5000)] {
                let commit = CommitRequest(objects: [ObjectRecord(key: key, length: 1)])
                #expect(try await client.post(commits, commit, token: session.token).code == "invalid_argument")
                let deletion = DeletionRequest(keys: [key])
                #expect(
                    try await client.post(ControlAPI.deletions(provider.repository), deletion, token: session.token)
                        .code == "invalid_argument"
                )
                let receipt = CommitRequest(objects: [], snapshot: key)
                #expect(try await client.post(commits, receipt, token: session.token).code == "invalid_argument")
            }
            let many = CommitRequest(objects: Array(repeating: ObjectRecord(key: pack, length: 1), count: 1001))
            #expect(try await client.post(commits, many, token: session.token).code == "invalid_argument")
            for bytes in [-1, Int.max] {
                let lease = LeaseRequest(bytes: bytes, rate: Int.max)
                #expect(
                    try await client.post(ControlAPI.leases(provider.repository), lease, token: session.token).code
                        == "invalid_argument"
                )
            }
        }
    }

    @Test func deletionsAreRecordedForTheProvider() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn(purpose: .prune)
            let answer = try await client.post(
                ControlAPI.deletions(provider.repository),
                DeletionRequest(keys: [pack]),
                token: session.token
            ).value(DeletionAnswer.self)
            #expect(answer.deleted == 0)
            #expect(answer.waiting == 1)
            #expect(try await provider.database.dueDeletions().map(\.keys) == [[pack]])
        }
    }

    @Test func aGrantWithoutAGatewayServerIsRefused() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            let path = ControlAPI.grants(provider.repository)
            let none = try await client.post(path, GrantRequest(purpose: .backup), token: session.token)
            #expect(none.code == "no_way")
            let more = try await client.post(path, GrantRequest(purpose: .full), token: session.token)
            #expect(more.code == "access_denied")
            let database = provider.database
            let gateway = try await database.addGateway("gateway1", kind: .server, address: "10.0.0.1:6182")
            try await database.updateRepository(
                provider.repository,
                RepositorySettings(gatewayServers: ["gateway1"])
            )
            let code = try await database.addJoinCode(.gateway(gateway.id))
            _ = try await database.registerGateway(code: code, publicKey: [1])
            // It has joined, but is not there: that passes.
            let away = try await client.post(path, GrantRequest(purpose: .backup), token: session.token)
                .value(ControlProblem.self)
            #expect(away.code == "no_way")
            #expect(away.retryAfter != nil)
        }
    }
}
