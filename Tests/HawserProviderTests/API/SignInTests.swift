import AsyncHTTPClient
import Crypto
import Dispatch
import GRDB
import HTTPTypes
import HawserControl
import HawserFormat
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct SignInTests {
    @Test func aDeviceRegistersSignsInPollsAndCloses() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            #expect(session.api == .init(min: 1, max: 1))
            #expect(session.state.lease.isEnabled)
            #expect(session.state.repositories.map(\.repository) == [provider.repository])
            #expect(session.state.repositories[0].quota.limit == 1 << 30)
            #expect(session.authorities.count == 1)

            let poll = try await client.send(.GET, ControlAPI.session(session.session), token: session.token)
            #expect(poll.status == 200)
            #expect(try poll.value(SessionState.self).repositories == session.state.repositories)

            let list = try await client.send(.GET, ControlAPI.sessions, token: session.token).value(SessionList.self)
            #expect(list.sessions.map(\.session) == [session.session])
            #expect(list.sessions[0].device == "laptop")

            let close = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            #expect(close.status == 204)
            let again = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            #expect(again.status == 204)
            let late = try await client.send(.GET, ControlAPI.session(session.session), token: session.token)
            #expect(late.code == "session_over")
        }
    }

    @Test func whateverIsWrongWithASignInGetsOneAnswer() async throws {
        try await withProvider { provider, client in
            let device = try await client.register()
            let revoked = try await client.register()
            try await provider.database.revokeDevice(revoked.id)
            let stranger = TestClient.Device(id: .random(), key: .init())
            let impostor = TestClient.Device(id: device.id, key: .init())
            let used = try await client.nonce()
            #expect(try await client.post(ControlAPI.sessions, client.signInRequest(device, nonce: used)).status == 200)

            var requests: [SignInRequest] = []
            for device in [stranger, impostor, revoked] {
                requests.append(try client.signInRequest(device, nonce: try await client.nonce()))
            }
            requests.append(try client.signInRequest(device, nonce: used))
            requests.append(try client.signInRequest(device, nonce: Data(repeating: 7, count: 32)))
            requests.append(try client.signInRequest(device, nonce: try await client.nonce(), domain: "other.test"))
            var otherPurpose = try client.signInRequest(device, nonce: try await client.nonce(), purpose: .restore)
            otherPurpose.purpose = .full
            requests.append(otherPurpose)
            var empty = try client.signInRequest(device, nonce: try await client.nonce())
            empty.signature = Data()
            requests.append(empty)

            var answers: Set<Data> = []
            for request in requests {
                let answer = try await client.post(ControlAPI.sessions, request)
                #expect(answer.status == 401)
                answers.insert(answer.body)
            }
            #expect(answers.count == 1)
        }
    }

    /// What the database is asked for when somebody signs in with another key than this device's.
    private func statements(
        _ device: ControlID,
        _ traced: Shared<[String]>,
        _ client: TestClient
    ) async throws -> Set<String> {
        traced.withLock { $0 = [] }
        let impostor = TestClient.Device(id: device, key: .init())
        let request = try client.signInRequest(impostor, nonce: try await client.nonce())
        let answer = try await client.post(ControlAPI.sessions, request)
        #expect(answer.status == 401)
        // Not what the server does by itself.
        let own = traced.withLock { $0 }.filter {
            $0.contains(device.text) || $0.contains(client.provider.tenant.text)
        }
        return Set(own.map { $0.replacing(device.text, with: "ID") })
    }

    /// All of the pool's connections for reading: any may take a query. Each is held until all are.
    private func trace(_ pool: DatabasePool, _ traced: Shared<[String]>) async throws {
        let count = pool.configuration.maximumReaderCount
        let (held, all) = (Shared(0), DispatchSemaphore(value: 0))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask {
                    try await pool.read { db in
                        db.trace { event in
                            guard case .statement(let statement) = event else { return }
                            traced.withLock { $0.append(statement.expandedSQL) }
                        }
                        let isLast = held.withLock { held in
                            held += 1
                            return held == count
                        }
                        if isLast { for _ in 1..<count { all.signal() } } else { all.wait() }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Time is hard to compare; what the database is asked for is not.
    @Test func anUnknownDeviceCostsTheDatabaseAsMuchAsAnyThatDidNotSign() async throws {
        try await withProvider { provider, client in
            let device = try await client.register()
            let revoked = try await client.register()
            try await provider.database.revokeDevice(revoked.id)
            let traced = Shared<[String]>([])
            try await trace(provider.database.pool, traced)
            let unknown = try await statements(.random(), traced, client)
            let impostors = try await statements(device.id, traced, client)
            let revokeds = try await statements(revoked.id, traced, client)
            #expect(unknown.count == 1)
            #expect(impostors == unknown)
            #expect(revokeds == unknown)
        }
    }

    @Test func aJoinCodeIsGoodOnce() async throws {
        try await withProvider { provider, client in
            let code = try await provider.database.addJoinCode(.device(tenant: provider.tenant, subtenant: nil))
            provider.log.addSecret(code)
            let key = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
            let request = RegistrationRequest(code: code, publicKey: key, name: "a")
            #expect(try await client.post(ControlAPI.devices, request).status == 200)
            let again = try await client.post(ControlAPI.devices, request)
            let wrong = RegistrationRequest(code: "0000000000000000000000000A", publicKey: key, name: "a")
            let unknown = try await client.post(ControlAPI.devices, wrong)
            #expect(again.code == "not_signed_in")
            #expect(unknown.body == again.body)
            let short = RegistrationRequest(code: code, publicKey: key.prefix(31), name: "a")
            #expect(try await client.post(ControlAPI.devices, short).code == "invalid_argument")
        }
    }

    @Test func tokensOpenTheirOwnSessionOnly() async throws {
        try await withProvider { provider, client in
            let other = try await provider.database.addTenant("other")
            let mine = try await client.signIn()
            let theirs = try await client.signIn(try await client.register(tenant: other.id))
            for path in [ControlAPI.session(theirs.session), ControlAPI.events(theirs.session)] {
                #expect(try await client.send(.GET, path, token: mine.token).code == "not_found")
            }
            #expect(
                try await client.send(.DELETE, ControlAPI.session(theirs.session), token: mine.token).code
                    == "not_found"
            )
            // The repository is the provider's; the other tenant has nothing in it.
            let path = ControlAPI.leases(provider.repository)
            let lease = try await client.post(path, LeaseRequest(bytes: 1, rate: 0), token: theirs.token)
            #expect(lease.code == "not_found")
            #expect(!String(decoding: lease.body, as: UTF8.self).contains("acme"))

            let list = try await client.send(.GET, ControlAPI.sessions, token: theirs.token).value(SessionList.self)
            #expect(list.sessions.map(\.session) == [theirs.session])
        }
    }

    /// What a session may ask of a repository in which it has no folder.
    private func ask(
        _ operation: ControlOperation,
        _ repository: ControlID,
        _ client: TestClient,
        _ token: String
    ) async throws -> TestClient.Answer {
        let key = "packs/d/ab/ab" + String(repeating: "0", count: 62)
        let path = operation.template.replacing("{id}", with: repository.text)
        switch operation {
        case .grant: return try await client.post(path, GrantRequest(purpose: .prune), token: token)
        case .lease: return try await client.post(path, LeaseRequest(bytes: 1, rate: 0), token: token)
        case .commit:
            let object = ObjectRecord(key: key, length: 1)
            return try await client.post(path, CommitRequest(objects: [object]), token: token)
        case .delete: return try await client.post(path, DeletionRequest(keys: [key]), token: token)
        case .tickets:
            let hash = Data(try #require(ObjectKey(key)?.name).bytes)
            let put = TicketRequest.Put(key: key, length: 1, sha256: hash)
            return try await client.post(path, TicketRequest(puts: [put], gets: [key]), token: token)
        default: return try await client.send(.GET, path, token: token)
        }
    }

    @Test func nobodyReachesAnothersRepositoryByAnyRequest() async throws {
        try await withProvider { provider, client in
            let database = provider.database
            let other = try await database.addTenant("other").id
            let branch = try await database.addSubtenant("branch", of: provider.tenant).id
            let sessions = [
                try await client.signIn(try await client.register(tenant: other), purpose: .prune),
                try await client.signIn(try await client.register(subtenant: branch), purpose: .prune),
            ]
            let operations = ControlOperation.allCases.filter { $0.template.hasPrefix("/v1/repositories/{id}/") }
            #expect(operations.count == 8)
            let before = try await database.quotas(of: provider.tenant).map(\.folder)
            for session in sessions {
                for operation in operations {
                    let answer = try await ask(operation, provider.repository, client, session.token)
                    let unknown = try await ask(operation, .random(), client, session.token)
                    #expect(answer.code == "not_found", "\(operation)")
                    #expect(unknown.code == "not_found", "\(operation)")
                    #expect(!String(decoding: answer.body, as: UTF8.self).contains("acme"))
                }
            }
            #expect(try await database.quotas(of: provider.tenant).map(\.folder) == before)
            #expect(try await database.keptDeletions().isEmpty)
        }
    }

    @Test func aSubtenantSeesNothingOfTheTenants() async throws {
        try await withProvider { provider, client in
            let subtenant = try await provider.database.addSubtenant("branch", of: provider.tenant)
            let tenants = try await client.signIn()
            let branch = try await client.signIn(try await client.register(subtenant: subtenant.id))
            #expect(branch.state.repositories.isEmpty)
            let answer = try await client.post(
                ControlAPI.grants(provider.repository),
                GrantRequest(purpose: .restore),
                token: branch.token
            )
            #expect(answer.code == "not_found")
            let list = try await client.send(.GET, ControlAPI.sessions, token: branch.token).value(SessionList.self)
            #expect(list.sessions.map(\.session) == [branch.session])
            let all = try await client.send(.GET, ControlAPI.sessions, token: tenants.token).value(SessionList.self)
            #expect(all.sessions.count == 2)
        }
    }

    @Test func aTenantReachesItsSubtenantsFoldersAsFarAsTheProviderLetsIt() async throws {
        try await withProvider { provider, client in
            let database = provider.database
            let branch = try await database.addSubtenant("branch", of: provider.tenant)
            let folder = try await database.setQuota(
                tenant: provider.tenant,
                subtenant: branch.id,
                repository: provider.repository,
                limit: 1000
            )
            let other = try await database.addTenant("other").id
            _ = try await database.addSubtenant("branch", of: other)
            let machine = try await client.register()
            for purpose in [Purpose.restore, .check, .prune] {
                let session = try await client.signIn(machine, purpose: purpose, subtenant: "branch")
                let record = try #require(database.session(session.session))
                #expect(record.subtenant == branch.id && record.tenant == provider.tenant)
                let own = try await database.folder(
                    tenant: record.tenant,
                    subtenant: record.subtenant,
                    repository: provider.repository
                )
                #expect(own.id == folder.id)
            }
            let audit = try await database.auditEntries(limit: 10, action: "session.subtenant")
            let details = ["prune", "check", "restore"].map { "\($0) in branch (\(branch.id))" }
            #expect(audit.map(\.detail) == details)
            _ = try await client.signIn(machine, purpose: .restore, subtenant: "branch")
            #expect(try await database.auditEntries(limit: 10, action: "session.subtenant").count == 3)

            func refusal(_ machine: TestClient.Device, _ purpose: Purpose, _ name: String) async -> HawserError.Code? {
                await #expect(throws: HawserError.self) {
                    try await client.signIn(machine, purpose: purpose, subtenant: name)
                }?.code
            }
            #expect(await refusal(machine, .backup, "branch") == .accessDenied)
            #expect(await refusal(machine, .full, "branch") == .accessDenied)
            #expect(await refusal(machine, .restore, "other") == .notFound)
            // Neither a subtenant's machine, nor one whose signature is for its own folder.
            let branches = try await client.register(subtenant: branch.id)
            #expect(await refusal(branches, .restore, "branch") == .accessDenied)
            var changed = try client.signInRequest(machine, nonce: try await client.nonce(), purpose: .restore)
            changed.subtenant = "branch"
            #expect(try await client.post(ControlAPI.sessions, changed).code == "not_signed_in")

            // Also of a session that is over.
            let over = try await client.signIn(machine, purpose: .prune, subtenant: "branch")
            _ = try await client.send(.DELETE, ControlAPI.session(over.session), token: over.token)
            let running = try await client.signIn(machine, purpose: .restore, subtenant: "branch")
            let theirs = try await client.signIn(branches)
            _ = try await database.updateTenant(provider.tenant) { $0.settings.reachesSubtenants = false }
            let poll = ControlAPI.session(running.session)
            #expect(try await client.send(.GET, poll, token: running.token).code == "access_denied")
            #expect(try await client.send(.GET, ControlAPI.session(theirs.session), token: theirs.token).status == 200)
            #expect(await refusal(machine, .restore, "branch") == .accessDenied)
            // What it was given for the folder ends, soon or already.
            let isDue = try await database.foldersToRevoke() == [folder.id]
            let isDone = try await !database.auditEntries(limit: 10, action: "credential.revoke").isEmpty
            #expect(isDue || isDone)
        }
    }

    @Test(arguments: ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + String(repeating: "A", count: 43)])
    func requestsWithoutATokenThatIsKnownAreRefused(_ header: String) async throws {
        try await withProvider { _, client in
            for operation in ControlOperation.allCases where operation.needsSession {
                let path = operation.template.replacing("{id}", with: ControlID.random().text)
                var request = client.request(.init(rawValue: operation.method.rawValue), path)
                request.headers.add(name: "authorization", value: header)
                let answer = try await client.send(request)
                #expect(answer.code == "not_signed_in")
            }
        }
    }

    @Test func aSessionGoesOnAfterARestart() async throws {
        try await withProviderFolder { provider in
            let session = try await provider.withServer { try await $0.signIn() }
            try await provider.withServer { client in
                let poll = try await client.send(.GET, ControlAPI.session(session.session), token: session.token)
                #expect(poll.status == 200)
                try await client.withEvents(of: session) { events in
                    _ = try await events.nextState()
                }
            }
        }
    }

    @Test func maintenanceAndDisabledTenantsAreTold() async throws {
        try await withProvider { provider, client in
            let device = try await client.register()
            try await provider.database.setMaintenance("Until noon.")
            let closed = await #expect(throws: HawserError.self) { try await client.signIn(device) }
            #expect(closed?.code == .maintenance)
            #expect(closed?.message == "Until noon.")
            try await provider.database.setMaintenance(nil)
            _ = try await provider.database.updateTenant(provider.tenant) { $0.isEnabled = false }
            let disabled = await #expect(throws: HawserError.self) { try await client.signIn(device) }
            #expect(disabled?.code == .tenantDisabled)
        }
    }
}
