import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import HawserTestServer
import HawserTesting
import NIOHTTP1
import Testing

@testable import HawserProvider

@Suite("Objects through a gateway server")
struct GatewayStoreTests {
    /// Deletes as the provider's server does, at the storage.
    private struct DeletingStore: ObjectStore {
        let base: GatewayStore
        let storage: S3ObjectStore

        func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
            // Bytes that a key does not name come to be otherwise, as by a failing drive.
            guard key.name ?? sha256 == sha256 else { return try await storage.put(key, bytes, sha256: sha256) }
            return try await base.put(key, bytes, sha256: sha256)
        }
        func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] { try await base.get(key, range: range) }
        func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }
        func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
            try await base.list(prefix: prefix, after: after, limit: limit)
        }
        func delete(_ keys: [ObjectKey]) async throws { try await storage.delete(keys) }
    }

    @Test("The store keeps the contract of object stores")
    func contract() async throws {
        try await withGatewayServer { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            let record = try #require(try await bench.provider.database.storages().first { $0.name == "live" })
            let direct = try await bench.provider.database.store(
                record,
                folder: grant.folder,
                logger: bench.provider.log.logger
            )
            try await bench.withStore(grant, ports: [port]) { store async throws in
                for check in ObjectStoreContract.checks {
                    let deleting = DeletingStore(base: store, storage: direct)
                    let tried: any ObjectStore =
                        check.description.hasPrefix("puts and deletions")
                        ? RetryingStore(deleting, clock: ManualClock(advancesItself: true)) : deleting
                    do {
                        try await check.run(tried)
                    } catch {
                        Issue.record("\(check): \(error)")
                    }
                    for key in bench.storedKeys { try await bench.storage.remove(key, in: "hawser") }
                }
            }
            await direct.shutdown()
        }
    }

    @Test("Everything lies in the tenant's folder, and the quota is what was stored, to the byte")
    func exactQuota() async throws {
        try await withGatewayServer(limit: 1_000_000) { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            try await bench.withStore(grant, ports: [port]) { store async throws in
                let objects = (0..<4).map { TestObject(length: 250_000, seed: $0) }
                for object in objects { #expect(try await store.put(object) == .created) }
                #expect(bench.storedKeys.sorted() == objects.map { grant.folder + $0.key.path }.sorted())
                // What is there already costs nothing, also when nothing is free.
                #expect(try await store.put(objects[0]) == .existed)
                let more = await #expect(throws: HawserError.self) {
                    try await store.put(TestObject(length: 1, seed: 9))
                }
                #expect(more?.code == .quotaExceeded)
                #expect(
                    try await store.get(objects[1].key, range: 10..<200_000) == Array(objects[1].bytes[10..<200_000])
                )
            }
            let closed = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            #expect(closed.status == 204)
            try await bench.settled(used: 1_000_000)
        }
    }

    @Test("Ends of sessions, other purposes and removed gateway servers")
    func endings() async throws {
        try await withGatewayServer { bench, client, port in
            let session = try await client.signIn()
            let writing = try await bench.grant(client, session)
            let reading = try await bench.grant(client, session, .restore)
            let object = TestObject(length: 100_000, seed: 1)
            try await bench.withStore(writing, ports: [port]) { try await $0.put(object) }
            try await bench.withStore(reading, ports: [port]) { store async throws in
                #expect(try await store.get(object.key, range: nil) == object.bytes)
                let refused = await #expect(throws: HawserError.self) { try await store.put(TestObject(seed: 2)) }
                #expect(refused?.code == .accessDenied)
            }
            _ = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            try await bench.withStore(writing, ports: [port]) { store async throws in
                try await bench.untilUnknown(store, object.key)
            }
            try await bench.settled(used: 100_000)
            let next = try await client.signIn(purpose: .restore)
            let last = try await bench.grant(client, next, .restore)
            try await bench.provider.database.removeGateway(bench.gateway)
            let answer = try await client.post(
                ControlAPI.grants(bench.repository),
                GrantRequest(purpose: .restore),
                token: next.token
            )
            #expect(answer.code == "no_way")
            #expect(last.gatewayServer == "gs1.provider.test")
        }
    }

    @Test("A gateway that is gone is passed over; a gateway server that was restarted knows its movers again")
    func restarts() async throws {
        try await withS3TestServer { storage in
            try await withProvider { provider, client in
                let bench = try await GatewayBench(provider, storage, limit: 1 << 30)
                let membership = try await bench.join(client)
                let session = try await client.signIn()
                let object = TestObject(length: 300_000, seed: 1)
                let (grant, dead) = try await bench.withServer(membership) { port in
                    let grant = try await bench.grant(client, session)
                    try await bench.withStore(grant, ports: [port]) { try await $0.put(object) }
                    return (grant, port)
                }
                try await bench.withServer(membership) { port in
                    try await bench.withStore(grant, ports: [dead, port]) { store async throws in
                        while true {
                            do {
                                #expect(try await store.get(object.key, range: nil) == object.bytes)
                                break
                            } catch let error as HawserError where error.code == .notSignedIn {
                                // Until it is connected.
                                try await Task.sleep(for: .milliseconds(10))
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("After a restart of the provider's server, tokens are unknown and another grant helps")
    func providerRestarts() async throws {
        try await withS3TestServer { storage in
            try await withProviderFolder { provider in
                let bench = try await GatewayBench(provider, storage, limit: 1 << 30)
                var port = 0
                let (membership, old, device) = try await provider.withServer { client in
                    port = client.port
                    let membership = try await bench.join(client)
                    let device = try await client.register()
                    let session = try await client.signIn(device)
                    let grant = try await bench.withServer(membership) { _ in try await bench.grant(client, session) }
                    return (membership, grant, device)
                }
                let same = port
                try await provider.withServer {
                    $0.port = same
                } _: { client in
                    let session = try await client.signIn(device)
                    try await bench.withServer(membership) { port in
                        let grant = try await bench.grant(client, session)
                        try await bench.withStore(old, ports: [port]) { store async throws in
                            let unknown = await #expect(throws: HawserError.self) { try await store.head(.config(1)) }
                            #expect(unknown?.code == .notSignedIn)
                        }
                        try await bench.withStore(grant, ports: [port]) { store async throws in
                            #expect(try await store.put(TestObject(seed: 3)) == .created)
                        }
                    }
                }
            }
        }
    }
}

extension GatewayBench {
    /// Waits until nothing is set aside any more.
    func settled(used: Int) async throws {
        while try await quota.reserved > 0 { try await Task.sleep(for: .milliseconds(10)) }
        let settled = try await quota.used
        #expect(settled == used)
    }

    /// Waits until the mover was stopped.
    func untilUnknown(_ store: GatewayStore, _ key: ObjectKey) async throws {
        while true {
            do {
                _ = try await store.head(key)
                try await Task.sleep(for: .milliseconds(10))
            } catch let error as HawserError where error.code == .notSignedIn {
                return
            }
        }
    }
}
