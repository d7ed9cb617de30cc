import HawserControl
import HawserFormat
import HawserNetwork
import NIOHTTP1
import Testing

@testable import HawserProvider

@Suite struct EventTests {
    @Test func theFirstLineIsTheStateAndChangesFollow() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            try await client.withEvents(of: session) { events in
                guard case .state(let first) = try await events.next() else {
                    Issue.record("The stream does not begin with the state.")
                    return
                }
                #expect(first.repositories == session.state.repositories)
                _ = try await provider.database.setQuota(
                    tenant: provider.tenant,
                    repository: provider.repository,
                    limit: 5 << 30
                )
                _ = try await events.nextState { $0.repositories[0].quota.limit == 5 << 30 }
                _ = try await provider.database.updateTenant(provider.tenant) { $0.settings.bandwidth = 1000 }
                _ = try await events.nextState { $0.bandwidth == 1000 }
                try await provider.database.setMaintenance("Soon.")
                _ = try await events.nextState { $0.maintenance == "Soon." }
            }
        }
    }

    @Test func heartbeatsComeWhenNothingElseDoes() async throws {
        try await withProvider {
            $0.limits.heartbeat = .milliseconds(100)
        } _: { _, client in
            try await client.withEvents(of: try await client.signIn()) { events in
                _ = try await events.nextState()
                #expect(try await events.next() == .heartbeat)
                #expect(try await events.next() == .heartbeat)
            }
        }
    }

    @Test func disablingEndsTheStreamAndTheSession() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            try await client.withEvents(of: session) { events in
                _ = try await events.nextState()
                _ = try await provider.database.updateTenant(provider.tenant) { $0.isEnabled = false }
                let problem = try await events.next { if case .revoked(let problem) = $0 { problem } else { nil } }
                #expect(problem.code == "tenant_disabled")
                #expect(try await events.next() == nil)
            }
            let poll = try await client.send(.GET, ControlAPI.session(session.session), token: session.token)
            #expect(poll.code == "tenant_disabled")
        }
    }

    @Test func theEndOfTheContractReachesARunningSession() async throws {
        try await withProvider { provider, client in
            let writes = try await client.signIn()
            let reads = try await client.signIn(purpose: .restore)
            try await client.withEvents(of: writes) { events in
                _ = try await events.nextState()
                let end = provider.database.clock.wall + .milliseconds(200)
                _ = try await provider.database.updateTenant(provider.tenant) { $0.leaseEnd = end }
                let problem = try await events.next { if case .revoked(let problem) = $0 { problem } else { nil } }
                #expect(problem.code == "lease_over")
            }
            #expect(
                try await client.send(.GET, ControlAPI.session(reads.session), token: reads.token).status == 200
            )
        }
    }

    @Test func anotherSessionsEndIsNoneOfThisOnesBusiness() async throws {
        try await withProvider { provider, client in
            let kept = try await client.signIn()
            let ended = try await client.signIn()
            try await client.withEvents(of: kept) { events in
                _ = try await events.nextState()
                try await provider.database.endSession(ended.session, ControlProblem(.revoked, "Ended."))
                _ = try await provider.database.updateTenant(provider.tenant) { $0.settings.bandwidth = 7 }
                while true {
                    guard case .state(let state) = try await events.next() else {
                        Issue.record("Something else than the change of the tenant came.")
                        return
                    }
                    if state.bandwidth == 7 { break }
                }
            }
        }
    }

    @Test func onlyTheSessionsOfAFolderHearOfItsCredentials() async throws {
        try await withProvider { provider, client in
            let database = provider.database
            let subtenant = try await database.addSubtenant("branch", of: provider.tenant).id
            let part = try await database.setQuota(
                tenant: provider.tenant,
                subtenant: subtenant,
                repository: provider.repository,
                limit: nil
            ).id
            let whole = try await database.setQuota(
                tenant: provider.tenant,
                repository: provider.repository,
                limit: nil
            ).id
            func issue(_ folder: ControlID) async throws {
                _ = try await database.setCredential(
                    folder: folder,
                    purpose: .backup,
                    Secret.random(),
                    lifetime: .seconds(3600)
                )
            }
            let machine = try await client.register(subtenant: subtenant)
            try await client.withEvents(of: try await client.signIn()) { own in
                try await client.withEvents(of: try await client.signIn(machine)) { parts in
                    _ = try await own.nextState()
                    _ = try await parts.nextState()
                    for generation in 1...2 {
                        try await issue(whole)
                        #expect(try await own.nextCredentials() == generation)
                    }
                    try await issue(part)
                    #expect(try await parts.nextCredentials() == 1)
                    try await issue(whole)
                    #expect(try await own.nextCredentials() == 3)
                }
            }
        }
    }

    @Test func aSessionThatHadEndedGetsNoStream() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            try await provider.database.endSession(session.session, ControlProblem(.revoked, "Ended."))
            let answer = try await client.send(.GET, ControlAPI.events(session.session), token: session.token)
            #expect(answer.code == "revoked")
        }
    }

    @Test func aSecondStreamTakesTheFirstOnesPlace() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            try await client.withEvents(of: session) { first in
                _ = try await first.nextState()
                try await client.withEvents(of: session) { second in
                    _ = try await second.nextState()
                    // Cut, not ended in order: its client must not take it for an answer.
                    await #expect(throws: (any Error).self) {
                        while try await first.next() != nil {}
                        throw HawserError(.conflict, "The first stream ended in order.")
                    }
                    _ = try await provider.database.updateTenant(provider.tenant) { $0.settings.bandwidth = 9 }
                    _ = try await second.nextState { $0.bandwidth == 9 }
                }
            }
        }
    }

    @Test func aGracefulStopEndsStreamsWithReconnect() async throws {
        try await withProvider {
            $0.limits.reconnectSpread = .seconds(15)
        } _: { _, client in
            let session = try await client.signIn()
            try await client.withEvents(of: session) { events in
                _ = try await events.nextState()
                await client.stop()
                let after = try await events.next { if case .reconnect(let after) = $0 { after } else { nil } }
                // Of one stream there is little to wait for.
                #expect((0...2).contains(after))
                #expect(try await events.next() == nil)
            }
        }
    }
}
