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

@Suite("Hostile tenants at a gateway server")
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
                while true {
                    let answer = try await tenant.put(
                        GatewayAPI.object(whole.key.path),
                        whole.bytes,
                        sha256: whole.sha256
                    )
                    if answer.status == 201 { break }
                    let problem = try answer.value(ControlProblem.self)
                    try #require(problem.code == "quota_exceeded" && problem.retryAfter != nil)
                    try await Task.sleep(for: .milliseconds(10))
                }
                #expect(bench.storedKeys == [grant.folder + whole.key.path])
            }
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
