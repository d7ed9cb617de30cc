import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserGateway
import HawserStorage
import HawserTestServer
import HawserTesting
import NIOCore
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("Hostile tenants at a gateway server", .timeLimit(.minutes(20)))
struct HostileTenantTests {
    private struct Broken: Error {}

    @Test("Other hashes, broken uploads, foreign tokens and folders, and keys outside of the grammar leave nothing")
    func refused() async throws {
        try await withGatewayServer(limit: 1_000_000) { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            let object = TestObject(length: 400_000, seed: 1)
            let path = GatewayAPI.object(object.key.path)
            try await bench.withRawClient(grant, port: port) { tenant in
                let other = ObjectName(sha256Of: [1])
                let hash = try await tenant.put(path, object.bytes.reversed(), sha256: object.sha256)
                #expect(hash.status == 400 && hash.code == "invalid_argument")
                // A SHA-256 that is the bytes' and not the name's: it could replace another object.
                let renamed = try await tenant.put(path, [1], sha256: other)
                #expect(renamed.status == 400 && renamed.code == "invalid_argument")
                for range in ["bytes=0-\(Int.max)", "bytes=\(Int.max)-\(Int.max)", "bytes=5-1", "bytes=-5"] {
                    var read = tenant.request("GET", path, nil)
                    read.headers.add(name: "range", value: range)
                    #expect(try await tenant.send(read).code == "invalid_argument", "\(range)")
                }
                let token = Base64URL.text(Data(repeating: 7, count: 32))
                let foreign = try await tenant.put(path, object.bytes, sha256: object.sha256, token: token)
                #expect(foreign.status == 401 && foreign.code == "not_signed_in")
                for key in ["../\(object.key.path)", "\(object.key.path)/x", "%2e%2e/config/1", "neighbour/data"] {
                    let outside = try await tenant.put("/v1/objects/\(key)", [1], sha256: other)
                    #expect(outside.status == 400 || outside.status == 404, "\(key)")
                }
                // Without an announced length.
                var endless = tenant.request("PUT", path, nil)
                endless.headers.add(name: GatewayAPI.sha256, value: object.sha256.hex)
                endless.body = .stream(
                    AsyncStream { stream in
                        stream.yield(ByteBuffer(bytes: object.bytes))
                        stream.finish()
                    },
                    length: .unknown
                )
                #expect(try await tenant.send(endless).code == "invalid_argument")
                // It breaks off in the middle.
                var short = tenant.request("PUT", path, nil)
                short.headers.add(name: GatewayAPI.sha256, value: object.sha256.hex)
                short.body = .stream(
                    AsyncThrowingStream { stream in
                        stream.yield(ByteBuffer(bytes: object.bytes.prefix(300_000)))
                        stream.finish(throwing: Broken())
                    },
                    length: .known(Int64(400_000))
                )
                await #expect(throws: (any Error).self) { try await tenant.send(short) }
                // One byte more than the quota.
                let large = TestObject(length: 1_000_001, seed: 2)
                let over = try await tenant.put(GatewayAPI.object(large.key.path), large.bytes, sha256: large.sha256)
                #expect(over.status == 403 && over.code == "quota_exceeded")
                #expect(bench.storedKeys.isEmpty)
                // All of it is free again, to the byte, once the broken uploads have ended.
                let whole = TestObject(length: 1_000_000, seed: 3)
                try await storeWhenFree(whole, tenant)
                #expect(bench.storedKeys == [grant.folder + whole.key.path])
            }
            for code in ["invalid_argument", "not_signed_in"] {
                let line = "notice Request refused client=127.0.0.1 code=\(code) operation=put"
                #expect(bench.provider.log.lines.contains(line))
            }
        }
    }

    private func storeWhenFree(_ object: TestObject, _ tenant: RawTenant) async throws {
        while true {
            let answer = try await tenant.put(
                GatewayAPI.object(object.key.path),
                object.bytes,
                sha256: object.sha256
            )
            if answer.status == 201 { return }
            let problem = try answer.value(ControlProblem.self)
            try #require(problem.code == "quota_exceeded" && problem.retryAfter != nil)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// What stands before the body.
    private func head(_ method: String, _ object: TestObject, _ grant: Grant) throws -> [UInt8] {
        var lines = [
            "\(method) \(GatewayAPI.object(object.key.path)) HTTP/1.1", "host: \(GatewayBench.serverName)",
            "authorization: Bearer \(try #require(grant.gatewayToken))",
        ]
        if method == "PUT" {
            lines += ["content-length: \(object.bytes.count)", "\(GatewayAPI.sha256): \(object.sha256.hex)"]
        }
        return Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
    }

    @Test("One byte less than announced leaves nothing, and one more is no part of the object")
    func lengths() async throws {
        try await withGatewayServer { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            let authorities = try await bench.authorities
            let broken = TestObject(length: 200_000, seed: 1)
            let (first, second) = (TestObject(length: 1000, seed: 2), TestObject(length: 199_000, seed: 3))
            try await withTLSConnection(port, authorities, serverName: GatewayBench.serverName) { tenant in
                let stored = await tenant.answer(to: try head("PUT", first, grant) + first.bytes)
                #expect(stored?.status == 201)
                let get = try head("GET", first, grant)
                #expect(await tenant.answer(to: get)?.body == first.bytes)
                // So that the next request begins with GGET.
                let longer = second.bytes + [UInt8(ascii: "G")]
                let answer = await tenant.answer(to: try head("PUT", second, grant) + longer)
                #expect(answer?.status == 201)
                let next = await tenant.answer(to: get)
                #expect(next == nil || next?.status == 400)
                #expect(await tenant.answer() == nil)
            }
            try await withTLSConnection(port, authorities, serverName: GatewayBench.serverName) { tenant in
                try await tenant.send(try head("PUT", broken, grant) + broken.bytes.dropLast())
                while bench.storage.counts[.put] < 3 { try await Task.sleep(for: .milliseconds(10)) }
            }
            func puts() -> [RequestRecord] { bench.storage.requests.filter { $0.kind == .put } }
            while puts().count < 3 { try await Task.sleep(for: .milliseconds(10)) }
            let last = try #require(puts().last)
            #expect(last.status != 200 && last.bytesIn <= broken.bytes.count - (64 << 10))
            #expect(bench.storedKeys.sorted() == [first, second].map { grant.folder + $0.key.path }.sorted())
            #expect(try await bench.stored(second.key, grant) == second.bytes)
            _ = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            try await bench.settled(used: 200_000)
        }
    }

    @Test("Of an object for which there is no room the storage hears nothing, and its tenant before the first byte")
    func noRoom() async throws {
        try await withGatewayServer(limit: 1_000_000) { bench, client, port in
            let grant = try await bench.grant(client, try await client.signIn())
            let (large, fitting) = (TestObject(length: 1_000_001, seed: 1), TestObject(length: 1_000_000, seed: 2))
            let announced = try head("PUT", large, grant)
            try await withTLSConnection(port, try await bench.authorities, serverName: GatewayBench.serverName) {
                #expect(await $0.answer(to: announced)?.status == 403)
            }
            try await bench.withRawClient(grant, port: port) { tenant in
                let path = GatewayAPI.object(large.key.path)
                #expect(try await tenant.put(path, large.bytes, sha256: large.sha256).code == "quota_exceeded")
                #expect(bench.storage.counts[.put] == 0)
                try await storeWhenFree(fitting, tenant)
                #expect(bench.storage.counts[.put] == 1)
            }
        }
    }

    @Test("A neighbour's token reaches the neighbour's folder, and each token one kind of server")
    func foreignTokens() async throws {
        try await withGatewayServer { bench, client, port in
            let database = bench.provider.database
            let session = try await client.signIn()
            let mine = try await bench.grant(client, session)
            let neighbour = try await database.addTenant("neighbour").id
            _ = try await database.setQuota(tenant: neighbour, repository: bench.repository, limit: 1 << 20)
            let theirs = try await bench.grant(
                client,
                try await client.signIn(try await client.register(tenant: neighbour))
            )
            // Its bytes do not name it, so another one could take its place.
            let (object, other) = (TestObject(key: .config(1), bytes: [1]), TestObject(key: .config(1), bytes: [2, 3]))
            let path = GatewayAPI.object(object.key.path)
            try await bench.withRawClient(mine, port: port) { tenant in
                func list(_ token: String?) async throws -> [Int] {
                    let listing = try await tenant.get(GatewayAPI.objects, token: token).value(ListingAnswer.self)
                    return listing.objects.map(\.length)
                }
                func head(_ token: String?) async throws -> Int {
                    try await tenant.send(tenant.request("HEAD", path, token)).status
                }
                let foreign = try #require(theirs.gatewayToken)
                #expect(try await tenant.put(path, object.bytes, sha256: object.sha256).status == 201)
                #expect(try await tenant.get(path, token: foreign).status == 404)
                #expect(try await head(foreign) == 404)
                #expect(try await list(foreign) == [])
                #expect(try await tenant.put(path, other.bytes, sha256: other.sha256, token: foreign).status == 201)
                #expect(try await bench.stored(object.key, mine) == object.bytes)
                #expect(try await bench.stored(object.key, theirs) == other.bytes)
                #expect(try await tenant.get(path).body == Data(object.bytes))
                #expect(try await tenant.get(path, token: foreign).body == Data(other.bytes))
                #expect(try await list(nil) == [1])
                #expect(try await list(foreign) == [2])

                // Of a session with the provider's server.
                let control = session.token
                #expect(try await tenant.get(path, token: control).code == "not_signed_in")
                #expect(try await tenant.get(GatewayAPI.objects, token: control).status == 401)
                #expect(try await head(control) == 401)
                #expect(try await tenant.put(path, object.bytes, sha256: object.sha256, token: control).status == 401)
            }
            let token = try #require(mine.gatewayToken)
            for path in [ControlAPI.sessions, ControlAPI.session(session.session), GatewayServerAPI.events] {
                let answer = try await client.send(.GET, path, token: token)
                #expect(answer.status == 401 && answer.code == "not_signed_in", "\(path)")
            }
            let lease = LeaseRequest(lease: .random(), bytes: 1, rate: 0)
            let leases = try await client.post(ControlAPI.leases(bench.repository), lease, token: token)
            let grant = GrantRequest(purpose: .backup)
            let grants = try await client.post(ControlAPI.grants(bench.repository), grant, token: token)
            #expect(leases.status == 401 && grants.status == 401)
        }
    }

    @Test("A storage that fails in the middle is no fault of the upload: trying again helps")
    func failingStorage() async throws {
        try await withGatewayServer(limit: 2_000_000) { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            try await bench.withStore(grant, ports: [port]) { store async throws in
                let effects: [ServerFault.Effect] = [
                    .answer(.slowDown(retryAfter: "1")), .resetBefore, .resetAfter,
                    .answerAfter(.error(503, "ServiceUnavailable")),
                ]
                for (index, effect) in effects.enumerated() {
                    bench.storage.removeFaults()
                    bench.storage.add(ServerFault(effect, on: [.put]))
                    let object = TestObject(length: 400_000, seed: UInt64(index))
                    let error = await #expect(throws: HawserError.self) { try await store.put(object) }
                    #expect(error?.isRetryable == true, "\(effect): \(String(describing: error))")
                    _ = try await store.put(object)
                    #expect(try await store.get(object.key, range: nil) == object.bytes)
                    try bench.storage.verifyAllFired()
                }
            }
            _ = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            try await bench.settled(used: 4 * 400_000)
        }
    }

    @Test("Many requests on little memory wait for each other, and all are served")
    func crowd() async throws {
        try await withGatewayServer {
            $0.memory = 1 << 20
        } _: { bench, client, port in
            let session = try await client.signIn()
            let grant = try await bench.grant(client, session)
            try await bench.withStore(grant, ports: [port]) { store async throws in
                try await withThrowingTaskGroup(of: PutResult.self) { group in
                    for seed in 0..<40 {
                        group.addTask { try await store.put(TestObject(length: 200_000, seed: UInt64(seed))) }
                    }
                    for try await result in group { #expect(result == .created) }
                }
            }
            #expect(bench.storedKeys.count == 40)
            _ = try await client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            try await bench.settled(used: 40 * 200_000)
        }
    }
}
