import AsyncHTTPClient
import Foundation
import HawserFormat
import HawserS3
import HawserStorage
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserS3

@Suite("The S3 store keeps the contract of object stores")
struct S3ContractTests {
    private static func endpoint(_ server: S3TestServer) throws -> S3Endpoint {
        try S3Endpoint(parsing: server.endpoint)
    }

    private static func run(
        _ configuration: S3TestServer.Configuration = .init(),
        _ body: (S3ObjectStore, S3TestServer) async throws -> Void
    ) async throws {
        try await withS3TestServer(configuration) { server in
            try await withStore(try endpoint(server)) { try await body($0, server) }
        }
    }

    /// What a put finds may be deleted before it can look at it; that passes, and is for the retry layer.
    private static func store(_ store: S3ObjectStore, for check: ObjectStoreContract.Check) -> any ObjectStore {
        guard check.description.hasPrefix("puts and deletions") else { return store }
        return RetryingStore(store, clock: ManualClock(advancesItself: true))
    }

    @Test("On Amazon's behaviour", arguments: ObjectStoreContract.checks)
    func amazon(_ check: ObjectStoreContract.Check) async throws {
        try await Self.run { store, server in
            try await check.run(Self.store(store, for: check))
            // No request was refused for how it was made.
            #expect(server.requests.allSatisfy { ![400, 403].contains($0.status) })
        }
    }

    @Test("On the behaviour of Ceph and of Swift", arguments: ObjectStoreContract.checks)
    func others(_ check: ObjectStoreContract.Check) async throws {
        for behaviour in [ServerBehaviour.ceph, .swift] {
            var configuration = S3TestServer.Configuration()
            configuration.behaviour = behaviour
            try await Self.run(configuration) { store, _ in try await check.run(Self.store(store, for: check)) }
        }
    }

    /// Two racing puts both succeed there.
    private static let raceless = ObjectStoreContract.checks.filter { !$0.needs.contains(.atomicCreation) }

    @Test("On a storage that ignores conditions, but for races", arguments: raceless)
    func rclone(_ check: ObjectStoreContract.Check) async throws {
        var configuration = S3TestServer.Configuration()
        configuration.behaviour = .rclone
        try await withS3TestServer(configuration) { server in
            try await withStore(try Self.endpoint(server), change: { $0.hasConditionalPuts = false }) { store in
                try await check.run(store)
            }
        }
    }

    @Test("With the bucket in the host, over TLS that is trusted by a file")
    func virtualHost() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.security = .selfSigned
        try await withS3TestServer(configuration) { server in
            let file = FileManager.default.temporaryDirectory.appending(path: "hawser-\(UUID().uuidString).pem")
            try Data((server.certificate ?? "").utf8).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            var endpoint = try Self.endpoint(server)
            endpoint.host = "localhost"
            let object = TestObject(length: 500_000, seed: 1)
            try await withStore(endpoint, change: { $0.certificateAuthorities = file.path }) { store in
                try await expectCreated(object, in: store)
                let bytes = try await store.get(object.key, range: 5..<400_000)
                #expect(bytes == Array(object.bytes[5..<400_000]))
            }
            try await withStore(endpoint) { store in
                let error = try await hawserError { _ = try await store.head(object.key) }
                #expect(error.code == .accessDenied)
                #expect(!error.isRetryable)
                #expect(error.message.contains("certificate"), "\(error)")
            }
        }
        try await withS3TestServer { server in
            var endpoint = try Self.endpoint(server)
            endpoint.host = "localhost"
            let configuration = S3Configuration(endpoint: endpoint, bucket: "hawser", addressing: .virtualHost)
            var client = try HTTPClient.Configuration(configuration)
            client.dnsOverride = ["hawser.localhost": "127.0.0.1"]
            try await HTTPClient.withHTTPClient(configuration: client) { client in
                let store = try S3ObjectStore(configuration, credentials: TestCredentials(), client: client)
                let object = TestObject(seed: 2)
                try await store.put(object)
                let keys = try await store.list(prefix: "", after: nil, limit: 10).map(\.key)
                #expect(keys == [object.key])
            }
        }
    }

    @Test("Through a proxy that wants a password; a wrong one is named as the cause")
    func proxy() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.security = .selfSigned
        try await withS3TestServer(configuration) { server in
            let file = FileManager.default.temporaryDirectory.appending(path: "hawser-\(UUID().uuidString).pem")
            try Data((server.certificate ?? "").utf8).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            var endpoint = try Self.endpoint(server)
            endpoint.host = "localhost"
            try await TunnelProxy.run(authorization: Data("user:word".utf8).base64EncodedString()) { tunnel in
                for password in ["word", "other"] {
                    let change = { (configuration: inout S3Configuration) in
                        configuration.certificateAuthorities = file.path
                        configuration.proxy = tunnel.proxy(user: "user", password: password)
                        // Of a machine that does much else.
                        configuration.timeouts.connect = .seconds(120)
                    }
                    try await withStore(endpoint, change: change) { store in
                        let object = TestObject(length: 500_000, seed: 1)
                        if password == "word" {
                            try await expectCreated(object, in: store)
                            #expect(try await store.get(object.key, range: nil) == object.bytes)
                        } else {
                            let error = try await hawserError { try await store.put(object) }
                            #expect(error.code == .accessDenied && error.message.contains("proxy"), "\(error)")
                        }
                    }
                }
                #expect(Set(tunnel.targets) == ["localhost:\(endpoint.port ?? 0)"])
            }
            #expect(server.requests.count == 2)
        }
    }

    @Test("Lists that repeat or leave out keys end, and give nothing twice")
    func badLists() async throws {
        try await Self.run { store, server in
            let objects = (0..<20).map { TestObject(length: 10, seed: $0) }.sorted { $0.key < $1.key }
            for object in objects { try await store.put(object) }
            server.add(ServerFault(.repeatKeys, on: [.list], occurrence: .every))
            var listed: [ObjectKey] = []
            for try await info in ObjectListing(
                pageSize: 3,
                page: { try await store.list(prefix: "", after: $0, limit: $1) }
            ) {
                listed.append(info.key)
            }
            #expect(listed == objects.map(\.key))
            try server.verifyAllFired()
            server.removeFaults()
            server.add(ServerFault(.skipKeys(every: 3), on: [.list], occurrence: .every))
            let some = try await store.list(prefix: "", after: nil, limit: 1_000)
            #expect(some.count < objects.count)
            #expect(Set(some.map(\.key)).isSubset(of: objects.map(\.key)))
            try server.verifyAllFired()
        }
    }

    @Test("A third of all requests failing is mended by the retry layer, in every kind of request")
    func retries() async throws {
        try await Self.run { store, server in
            let retrying = RetryingStore(store, clock: ManualClock(advancesItself: true))
            let effects: [ServerFault.Effect] = [
                .answer(.slowDown(retryAfter: "1")), .resetBefore, .resetAfter, .cutAnswer(afterBytes: 20),
                .answer(.error(500, "InternalError")), .answerAfter(.error(503, "ServiceUnavailable")),
            ]
            for (index, effect) in effects.enumerated() {
                server.removeFaults()
                for kind in [RequestKind.put, .get, .head, .list, .delete, .deleteMany] {
                    server.add(ServerFault(effect, on: [kind]))
                }
                let object = TestObject(length: 100_000, seed: UInt64(index))
                #expect(try await retrying.put(object) == .created)
                #expect(try await retrying.get(object.key, range: nil) == object.bytes)
                #expect(try await retrying.head(object.key)?.length == 100_000)
                #expect(try await retrying.list(prefix: "", after: nil, limit: 10).map(\.key) == [object.key])
                try await retrying.delete([object.key])
                try await retrying.delete([object.key, .config(1)])
                #expect(try await retrying.head(object.key) == nil)
                try server.verifyAllFired()
            }
        }
    }

    @Test("A connection that is cut behind any byte of an upload or an answer costs a repetition, and nothing else")
    func cuts() async throws {
        try await Self.run { store, server in
            let retrying = RetryingStore(store, clock: ManualClock(advancesItself: true))
            let length = 200
            func cut(_ put: ServerFault.Effect, _ get: ServerFault.Effect, seed: Int) async throws {
                let object = TestObject(length: length, seed: UInt64(seed))
                server.add(ServerFault(put, on: [.put]))
                #expect(try await retrying.put(object) == .created)
                server.add(ServerFault(get, on: [.get]))
                #expect(try await retrying.get(object.key, range: nil) == object.bytes)
                try server.verifyAllFired()
                server.removeFaults()
            }
            for count in 0..<length {
                try await cut(.cutRequest(afterBytes: count), .cutBody(afterBytes: count), seed: count)
            }
            // Within the head of an answer; of an upload that was taken, too.
            for count in 0..<120 {
                let effect = ServerFault.Effect.cutAnswer(afterBytes: count)
                try await cut(effect, effect, seed: length + count)
            }
        }
    }

    @Test("A damaged upload is not taken, by a storage that checks")
    func damagedUpload() async throws {
        try await Self.run { store, _ in
            let object = TestObject(seed: 1)
            let error = try await hawserError {
                _ = try await store.put(object.key, Corpus.flipping(bit: 5, of: object.bytes), sha256: object.sha256)
            }
            #expect(error.code == .unavailable)
            #expect(try await store.head(object.key) == nil)
        }
    }

    @Test("Where HEAD and GET of a missing object are refused, a list tells")
    func refusedMissing() async throws {
        try await Self.run { store, server in
            let objects = [ObjectKey.config(1), .config(10)].map { TestObject(key: $0, bytes: [1, 2, 3]) }
            try await store.put(objects[1])
            let denied = ServerFault.Effect.answer(.error(403, "AccessDenied"))
            server.add(ServerFault(denied, on: [.head, .get], occurrence: .every))
            #expect(try await store.head(objects[0].key) == nil)
            let missing = try await hawserError { _ = try await store.get(objects[0].key, range: nil) }
            #expect(missing.code == .notFound)
            let refused = try await hawserError { _ = try await store.get(objects[1].key, range: nil) }
            #expect(refused.code == .accessDenied)
            try server.verifyAllFired()
        }
    }

    @Test("Keys, buckets and quotas that are wrong are told apart")
    func refusals() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.quota = 1_000
        try await withS3TestServer(configuration) { server in
            let endpoint = try Self.endpoint(server)
            let object = TestObject(length: 2_000, seed: 1)
            func error(
                _ credentials: S3Credentials = .test(),
                change: (inout S3Configuration) -> Void = { _ in }
            ) async throws -> HawserError {
                var thrown: HawserError?
                try await withStore(endpoint, credentials: TestCredentials(credentials), change: change) {
                    store in
                    thrown = try await hawserError { try await store.put(object) }
                }
                return try #require(thrown)
            }
            #expect(try await error().code == .quotaExceeded)
            #expect(try await error { $0.bucket = "other" }.code == .noRepository)
            #expect(try await error(.test("UNKNOWN")).message.contains("does not know the access key UNKNOWN"))
            let wrong = S3Credentials(accessKeyID: "AKTEST", secretAccessKey: Secret([1, 2, 3]))
            #expect(try await error(wrong).message.contains("secret does not belong"))
        }
    }
}
