import Foundation
import HawserControl
import HawserFormat
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserProvider

/// The tenant's side against the server itself, over TLS.
@Suite("A tenant's machine and the provider's server")
struct MachineTests {
    private func code(_ body: () async throws -> Void) async -> HawserError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HawserError)?.code
        }
    }

    @Test("log in once with a code, and see the quota and the sessions")
    func logsIn() async throws {
        try await withProvider { provider, client in
            let join = try await client.join()
            let folder = ProfileFolder(provider.folder.path + "/profiles")
            let registration = Registration(join)
            _ = try await registration.register(as: "a", in: folder, device: "laptop", environment: { _ in nil })
            let again = await code {
                _ = try await registration.register(as: "b", in: folder, device: "laptop", environment: { _ in nil })
            }
            #expect(again == .notSignedIn)
            #expect(folder.names() == ["a"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.json"])

            let profile = try folder.read("a")
            let key = try await profile.key.deviceKey(environment: { _ in nil })
            try await withProviderConnection(profile, key: key, purpose: .restore, agent: "test") { connection in
                let status = try await connection.waitUntilConnected()
                #expect(status.repository(provider.repository)?.quota.limit == 1 << 30)
                #expect(abs(status.clockAhead / .seconds(1)) < 60)
                let sessions = try await connection.sessions()
                #expect(sessions.map(\.session) == [status.session].compactMap(\.self))
                #expect(sessions.first?.device == "laptop" && sessions.first?.purpose == .restore)
            }
            // It has said goodbye.
            #expect(provider.database.liveSessions(of: provider.tenant).isEmpty)
        }
    }

    @Test("is not trusted with another authority")
    func trust() async throws {
        try await withProvider { provider, client in
            let (profile, key) = try await client.logIn()
            var other = profile
            other.authorities = try await withProviderFolder { stranger in
                try await stranger.withServer { _ in
                    try #require(try await CertificateStorage(stranger.database).load()).authorities
                }
            }
            var settings = ProviderConnection.Settings()
            settings.patience = .zero
            let result = await code {
                _ = try await withProviderConnection(
                    other,
                    key: key,
                    purpose: .restore,
                    agent: "test",
                    settings: settings
                ) { try await $0.waitUntilConnected().session }
            }
            #expect(result == .unavailable)
        }
    }

    @Test("keep a session and its books through a restart of the server")
    func restarts() async throws {
        try await withProviderFolder { provider in
            // The same port again, as a gateway's clients see it.
            let stop = Gate()
            let ready = Gate()
            let (profile, key, port) = try await provider.withServer { client in
                let (profile, key) = try await client.logIn()
                return (profile, key, client.port)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await provider.withServer({ $0.port = port }) { _ in try await stop.pass() }
                    try await provider.withServer({ $0.port = port }) { _ in try await ready.pass() }
                }
                try await withProviderConnection(profile, key: key, purpose: .backup, agent: "test") { connection in
                    let first = try await connection.waitUntilConnected()
                    try await withQuotaMonitor(connection, repository: provider.repository) { monitor in
                        let data = TestObject(.dataPack, length: 1, seed: 1)
                        await monitor.commit(try await monitor.reserve(5 << 20, for: data.key))
                        var statuses = connection.statuses.makeAsyncIterator()
                        stop.open()
                        while let status = await statuses.next() {
                            if case .away = status.phase { break }
                        }
                        // On with what there is.
                        let more = TestObject(.dataPack, length: 1, seed: 2)
                        await monitor.commit(try await monitor.reserve(5 << 20, for: more.key))
                        let snapshot = TestObject(.snapshot, length: 1, seed: 3)
                        try await monitor.permit(snapshot.key)
                        #expect(connection.status.session == first.session)
                    }
                }
                ready.open()
                try await group.waitForAll()
            }
            let quota = try await provider.database.quota(
                tenant: provider.tenant,
                subtenant: nil,
                repository: provider.repository
            )
            #expect(quota.used >= 10 << 20)
        }
    }

    @Test("end with the reason when the device is revoked")
    func revoked() async throws {
        try await withProvider { provider, client in
            let (profile, key) = try await client.logIn()
            let result = await code {
                try await withProviderConnection(profile, key: key, purpose: .backup, agent: "test") { connection in
                    try await connection.waitUntilConnected()
                    try await provider.database.revokeDevice(profile.device)
                    try? await Gate().pass()
                }
            }
            #expect(result == .revoked || result == .notSignedIn)
            let again = await code {
                _ = try await withProviderConnection(profile, key: key, purpose: .backup, agent: "test") {
                    try await $0.waitUntilConnected().session
                }
            }
            #expect(again == .notSignedIn || again == .revoked)
        }
    }

    @Test("learn that the quota is used up")
    func exceeded() async throws {
        try await withProvider { provider, client in
            let (profile, key) = try await client.logIn()
            _ = try await provider.database.setQuota(
                tenant: provider.tenant,
                repository: provider.repository,
                limit: 50 << 20
            )
            let result = try await withProviderConnection(profile, key: key, purpose: .backup, agent: "test") {
                try await withQuotaMonitor($0, repository: provider.repository) { monitor in
                    await code {
                        for seed in 0..<20 as Range<UInt64> {
                            let object = TestObject(.dataPack, length: 8, seed: seed)
                            await monitor.commit(try await monitor.reserve(4 << 20, for: object.key))
                        }
                    }
                }
            }
            #expect(result == .quotaExceeded)
        }
    }
}
