import AsyncHTTPClient
import HawserFormat
import HawserStorage
import HawserTesting
import NIOHTTP1
import Synchronization
import Testing

@testable import HawserS3

@Suite("The S3 store against a server that does what it must not")
struct S3ObjectStoreTests {
    private let object = TestObject(length: 3_000, seed: 1)

    private var path: String { S3Location(configuration).path(object.key.path).percentEncoded(keepingSlashes: true) }
    private var configuration: S3Configuration {
        S3Configuration(endpoint: S3Endpoint(host: "h"), bucket: "hawser", prefix: "a folder/ü+%")
    }

    @Test("What goes over the wire is what was signed")
    func wire() async throws {
        try await StubServer.run { _ in
            .stored
        } _: { server in
            try await withStore(server.endpoint, change: { $0.sendsContentMD5 = true }) { store in
                try await expectCreated(object, in: store)
            }
            let request = try #require(server.requests.first)
            #expect(request.method == "PUT")
            #expect(request.target == path)
            #expect(request.body == object.bytes)
            #expect(request.headers["content-length"] == "3000")
            #expect(request.headers["if-none-match"] == "*")
            #expect(request.headers["x-amz-content-sha256"] == object.sha256.hex)
            #expect(request.headers["content-md5"] == contentMD5(object.bytes))
            #expect(request.headers["host"] == "127.0.0.1:\(server.port)")
            #expect(request.headers["transfer-encoding"] == nil)
            #expect(request.headers["expect"] == nil)
            // Everything but what the transport adds.
            let signed = request.headers.keys.filter {
                !["authorization", "content-length", "user-agent"].contains($0)
            }
            #expect(
                request.headers["authorization"]?.contains("SignedHeaders=\(signed.sorted().joined(separator: ";")),")
                    == true
            )
        }
    }

    @Test("A connection cut at any point of an upload is an error that a retry mends")
    func cutUploads() async throws {
        // Of the whole request, so that some lie in the head, some in the body, and the last behind everything.
        for offset in [0, 1, 40, 300, 600, 700, 1_000, 2_000, 3_000, 3_500, 100_000] {
            let stored = Mutex<[UInt8]?>(nil)
            let react: StubServer.React = { request in
                switch request.method {
                case "PUT":
                    stored.withLock { $0 = request.body }
                    // The last of the offsets is never reached: the answer is what gets lost.
                    return request.number <= 2 && offset == 100_000 ? .close : .stored
                default:
                    guard let bytes = stored.withLock({ $0 }) else { return .answer(404) }
                    return .bytes(StubServer.bytes(200, ["content-length": String(bytes.count)], isHead: true))
                }
            }
            try await StubServer.run(with: .init(cut: { $0 <= 2 ? offset : nil }), react) { server in
                try await withStore(server.endpoint) { store in
                    let error = try await hawserError { try await store.put(object) }
                    #expect(error.code == .unavailable, "\(offset): \(error)")
                    #expect(error.isRetryable, "\(offset): \(error)")
                    #expect(error.place == object.key.path)
                    let retrying = RetryingStore(store, clock: ManualClock(advancesItself: true))
                    #expect(try await retrying.put(object) == .created, "\(offset)")
                    #expect(stored.withLock { $0 } == object.bytes)
                }
            }
        }
    }

    @Test("A connection cut at any byte of a download is an error, and its bytes are never taken for an object")
    func cutDownloads() async throws {
        let object = TestObject(length: 120, seed: 2)
        let whole = StubServer.bytes(200, ["etag": "\"0\""], object.bytes)
        try await StubServer.run { request in
            .bytes(Array(whole.prefix(request.number - 1)))
        } _: { server in
            try await withStore(server.endpoint) { store in
                for offset in whole.indices {
                    let error = try await hawserError { _ = try await store.get(object.key, range: nil) }
                    #expect(error.code == .unavailable, "\(offset): \(error)")
                    #expect(error.isRetryable, "\(offset): \(error)")
                }
                #expect(try await store.get(object.key, range: nil) == object.bytes)
            }
        }
    }

    @Test("A refusal that comes before the upload is through is told from a broken connection")
    func earlyRefusal() async throws {
        let object = TestObject(length: 4 << 20, seed: 3)
        let gate = Gate()
        let refusal = StubServer.bytes(507, [:], Array("<Error><Code>XMinioStorageFull</Code></Error>".utf8))
        try await StubServer.run(with: .init(answersEarly: true)) { _ in
            .parts(refusal, gate, [])
        } _: { server in
            try await withStore(server.endpoint) { store in
                let error = try await hawserError { try await store.put(object) }
                #expect(error.code == .storageFull)
                gate.open()
            }
        }
    }

    @Test("An upload that is not confirmed as S3 does counts as failed")
    func unconfirmed() async throws {
        let page = Array("<html><body>Welcome</body></html>".utf8)
        try await StubServer.run { request in
            .answer(200, ["content-type": "text/html"], body: request.method == "HEAD" ? [] : page)
        } _: { server in
            try await withStore(server.endpoint) { store in
                for error in [
                    try await hawserError { try await store.put(object) },
                    try await hawserError { _ = try await store.get(object.key, range: nil) },
                    try await hawserError { _ = try await store.head(object.key) },
                    try await hawserError { _ = try await store.list(prefix: "", after: nil, limit: 10) },
                    try await hawserError { try await store.delete([object.key]) },
                    try await hawserError { try await store.delete([object.key, .config(1)]) },
                ] {
                    #expect(error.code == .unavailable)
                    #expect(!error.isRetryable)
                    #expect(error.message.contains("proxy"), "\(error)")
                }
            }
        }
    }

    @Test("A region is learned once, for all requests")
    func region() async throws {
        try await StubServer.run { request in
            request.headers["authorization"]?.contains("/eu-west-7/s3/") == true
                ? .stored : .error(400, "AuthorizationHeaderMalformed", [:], "<Region>eu-west-7</Region>")
        } _: { server in
            try await withStore(server.endpoint) { store in
                try await expectCreated(object, in: store)
                #expect(store.region == "eu-west-7")
                try await expectCreated(object, in: store)
                #expect(server.requests.count == 3)
            }
        }
    }

    @Test("A redirection to the bucket's endpoint is followed, one that leads in a circle is an error")
    func redirection() async throws {
        try await StubServer.run { _ in
            .stored
        } _: { home in
            try await StubServer.run { request in
                .error(307, "TemporaryRedirect", ["location": "\(home.endpoint)\(request.target)"])
            } _: { server in
                try await withStore(server.endpoint) { store in
                    try await expectCreated(object, in: store)
                    try await expectCreated(object, in: store)
                }
                #expect(server.requests.count == 1)
                #expect(home.requests.map(\.body) == [object.bytes, object.bytes])
            }
        }
        try await StubServer.run {
            .error(
                307,
                "TemporaryRedirect",
                ["location": $0.number.isMultiple(of: 2) ? "http://127.0.0.1:1/" : "http://h/"]
            )
        } _: { server in
            try await withStore(server.endpoint, change: { $0.timeouts.connect = .seconds(1) }) { store in
                _ = try await hawserError { try await store.put(object) }
            }
        }
    }

    @Test("Expired credentials are renewed once; without new ones the error says so")
    func renewal() async throws {
        let react: StubServer.React = { request in
            request.headers["x-amz-security-token"] == "new" ? .stored : .error(400, "ExpiredToken")
        }
        try await StubServer.run(react) { server in
            let credentials = TestCredentials(.test("OLD", token: "old"), next: [.test("NEW", token: "new")])
            try await withStore(server.endpoint, credentials: credentials) { store in
                try await expectCreated(object, in: store)
                #expect(credentials.renewals == ["OLD"])
            }
        }
        // Ceph's: no code at all.
        try await StubServer.run { _ in
            .answer(403)
        } _: { server in
            let credentials = TestCredentials(.test("OLD", token: "old"), next: [.test("NEW", token: "new")])
            try await withStore(server.endpoint, credentials: credentials) { store in
                let error = try await hawserError { try await store.put(object) }
                #expect(error.code == .accessDenied)
                #expect(server.requests.count == 2)
                #expect(error.message.contains("NEW"))
            }
            // A permanent key is not asked to be renewed for it.
            let permanent = TestCredentials()
            try await withStore(server.endpoint, credentials: permanent) { store in
                _ = try await hawserError { try await store.put(object) }
                #expect(permanent.renewals.isEmpty)
            }
        }
    }

    @Test("A clock that is off by an hour is corrected; if that doesn't help the error says by how much")
    func clock() async throws {
        let date = ["date": "Sat, 31 Jan 2026 23:59:59 GMT"]
        let late = Timestamp(seconds: 1_769_903_999 + 3_600)
        try await StubServer.run { request in
            request.headers["x-amz-date"] == "20260131T235959Z" ? .stored : .error(403, "RequestTimeTooSkewed", date)
        } _: { server in
            try await withStore(server.endpoint, now: { late }) { store in
                try await expectCreated(object, in: store)
                #expect(store.clockAhead == .seconds(3_600))
                try await expectCreated(object, in: store)
                #expect(server.requests.count == 3)
            }
        }
        try await StubServer.run { _ in
            .error(403, "RequestTimeTooSkewed", date)
        } _: { server in
            try await withStore(server.endpoint, now: { late }) { store in
                let error = try await hawserError { try await store.put(object) }
                #expect(error.code == .accessDenied)
                #expect(error.message.contains("60 min ahead"), "\(error)")
                #expect(server.requests.count == 2)
            }
        }
    }

    @Test(
        "412 is settled by looking",
        arguments: [(3_000, nil), (2_999, .damaged), (nil, .unavailable)] as [(Int?, HawserError.Code?)]
    )
    func exists(_ length: Int?, _ code: HawserError.Code?) async throws {
        try await StubServer.run { request in
            if request.method == "PUT" { return .error(412, "PreconditionFailed") }
            guard let length else { return .answer(404) }
            return .answer(200, ["content-length": String(length)])
        } _: { server in
            try await withStore(server.endpoint) { store in
                guard let code else {
                    #expect(try await store.put(object) == .existed)
                    return
                }
                let error = try await hawserError { try await store.put(object) }
                #expect(error.code == code)
                #expect(error.isRetryable == (code == .unavailable))
            }
        }
    }

    @Test("Of a key that names no hash the bytes are compared")
    func existingConfig() async throws {
        let config = TestObject(.config, length: 100, seed: 4)
        let other = Corpus.incompressible(100, seed: 5)
        for (there, isSame) in [(config.bytes, true), (other, false)] {
            try await StubServer.run { request in
                request.method == "PUT" ? .error(412, "PreconditionFailed") : .answer(200, body: there)
            } _: { server in
                try await withStore(server.endpoint) { store in
                    if isSame {
                        #expect(try await store.put(config) == .existed)
                    } else {
                        let error = try await hawserError { try await store.put(config) }
                        #expect(error.code == .conflict)
                    }
                }
            }
        }
    }

    @Test("Where puts can't be conditional the store looks first")
    func unconditional() async throws {
        try await StubServer.run { request in
            request.method == "HEAD" ? .answer(404) : .stored
        } _: { server in
            try await withStore(server.endpoint, change: { $0.hasConditionalPuts = false }) { store in
                try await expectCreated(object, in: store)
                #expect(server.requests.map(\.method) == ["HEAD", "PUT"])
                #expect(server.requests.last?.headers["if-none-match"] == nil)
            }
        }
    }

    @Test("A range of a server that gives everything is cut out of it")
    func wholeForRange() async throws {
        try await StubServer.run { _ in
            .answer(200, body: object.bytes)
        } _: { server in
            try await withStore(server.endpoint) { store in
                for range in [0..<1, 10..<20, 2_999..<3_000, 0..<3_000] {
                    #expect(try await store.get(object.key, range: range) == Array(object.bytes[range]))
                }
                let error = try await hawserError { _ = try await store.get(object.key, range: 2_999..<3_001) }
                #expect(error.code == .invalidArgument)
            }
        }
    }

    @Test("Deletions go in one request, report single failures, and go singly where they must")
    func deletions() async throws {
        let keys = (0..<1_500).map { TestObject(length: 10, seed: UInt64($0)).key }
        let failed =
            "<DeleteResult><Error><Key>a folder/ü+%/\(keys[7].path)</Key><Code>AccessDenied</Code>"
            + "<Message>Locked</Message></Error><Error><Key>x</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
        try await StubServer.run {
            .answer(200, body: $0.number == 1 ? Array(failed.utf8) : [])
        } _: { server in
            try await withStore(server.endpoint) { store in
                let error = try await hawserError { try await store.delete(keys) }
                #expect(error.code == .accessDenied)
                #expect(error.place == keys[7].path)
                #expect(server.requests.count == 2)
                let first = try #require(server.requests.first)
                #expect(first.target == "/hawser?delete=")
                #expect(first.headers["content-md5"] == contentMD5(first.body))
                #expect(String(decoding: first.body, as: UTF8.self).contains("<Key>a folder/ü+%/\(keys[0].path)</Key>"))
            }
        }
        try await StubServer.run {
            $0.method == "POST" ? .error(501, "NotImplemented") : .answer($0.number.isMultiple(of: 2) ? 204 : 404)
        } _: { server in
            try await withStore(server.endpoint) { store in
                try await store.delete(Array(keys[..<5]))
                try await store.delete(Array(keys[..<5]))
                #expect(server.requests.count == 11)
            }
        }
    }

    @Test("A server that stands still is left when the time is up", arguments: ["PUT", "GET"])
    func standstill(method: String) async throws {
        let gate = Gate()
        let clock = ManualClock()
        try await StubServer.run { _ in
            .hold(gate)
        } _: { server in
            try await withStore(server.endpoint, clock: clock) { store in
                async let error = hawserError {
                    if method == "PUT" {
                        try await store.put(object)
                    } else {
                        _ = try await store.get(object.key, range: nil)
                    }
                }
                try await gate.waitForArrivals(1)
                try await clock.waitForSleepers(1)
                clock.advance(by: .seconds(61))
                // It may have noted a step just before; then it sleeps once more.
                #expect(try await error.isRetryable)
                gate.open()
            }
        }
    }

    @Test("A server that takes a part of an upload and no more is left when the time is up")
    func standstillWithin() async throws {
        let gate = Gate()
        let clock = ManualClock()
        // More than the buffers of both sides hold.
        let large = TestObject(length: 32 << 20, seed: 4)
        try await StubServer.run(with: .init(answersEarly: true)) { _ in
            .hold(gate)
        } _: { server in
            try await withStore(server.endpoint, clock: clock) { store in
                let error = Task { try await hawserError { try await store.put(large) } }
                try await gate.waitForArrivals(1)
                let time = Task {
                    while !Task.isCancelled {
                        try await clock.waitForSleepers(1)
                        clock.advance(by: .seconds(61))
                    }
                }
                #expect(try await error.value.isRetryable)
                time.cancel()
                gate.open()
            }
        }
    }

    @Test("A cancelled request ends at once", arguments: ["PUT", "GET", "LIST"])
    func cancellation(method: String) async throws {
        let gate = Gate()
        try await StubServer.run { _ in
            .hold(gate)
        } _: { server in
            try await withStore(server.endpoint) { store in
                let request = Task {
                    switch method {
                    case "PUT": try await store.put(object)
                    case "GET": _ = try await store.get(object.key, range: nil)
                    default: _ = try await store.list(prefix: "", after: nil, limit: 1)
                    }
                }
                try await gate.waitForArrivals(1)
                request.cancel()
                await #expect(throws: CancellationError.self) { try await request.value }
                gate.open()
            }
        }
    }

    @Test("More requests than connections wait for their turn")
    func connections() async throws {
        let gate = Gate()
        let running = Mutex((now: 0, most: 0))
        try await StubServer.run { _ in
            running.withLock { state in
                state.now += 1
                state.most = max(state.most, state.now)
            }
            try await gate.pass()
            running.withLock { $0.now -= 1 }
            return .stored
        } _: { server in
            try await withStore(server.endpoint, change: { $0.connections = 3 }) { store in
                try await withThrowingTaskGroup { group in
                    for seed in 0..<20 { group.addTask { try await store.put(TestObject(seed: UInt64(seed))) } }
                    try await gate.waitForArrivals(3)
                    gate.open()
                    try await group.waitForAll()
                }
                #expect(running.withLock { $0.most } == 3)
            }
        }
    }

    @Test("What can't be reached, does not speak TLS or is shut down says so")
    func unreachable() async throws {
        try await withStore(S3Endpoint(host: "127.0.0.1", port: 1, isSecure: false)) { store in
            let error = try await hawserError { _ = try await store.head(object.key) }
            #expect(error.isRetryable)
            #expect(error.message.contains("can't be reached"), "\(error)")
            await store.shutdown()
            let ended = try await hawserError { _ = try await store.head(object.key) }
            #expect(!ended.isRetryable)
        }
        // An answer without TLS to a greeting of TLS.
        let plain = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        try await StubServer.run(with: .init(garbage: plain)) { _ in
            .close
        } _: { server in
            var endpoint = server.endpoint
            endpoint.isSecure = true
            try await withStore(endpoint) { store in
                let error = try await hawserError { _ = try await store.head(object.key) }
                #expect(error.code == .accessDenied)
                #expect(!error.isRetryable)
            }
        }
    }

    @Test("A store works with a client of its user's, and leaves that open; a dropped store traps nothing")
    func clients() async throws {
        try await StubServer.run { _ in
            .stored
        } _: { server in
            let configuration = S3Configuration(endpoint: server.endpoint, bucket: "hawser")
            try await HTTPClient.withHTTPClient(configuration: .init(configuration)) { client in
                let store = try S3ObjectStore(configuration, credentials: TestCredentials(), client: client)
                try await store.put(object)
                await store.shutdown()
                try await store.put(object)
            }
            _ = try S3ObjectStore(configuration, credentials: TestCredentials())
            try await S3ObjectStore.withStore(configuration, credentials: TestCredentials()) { store in
                _ = try await store.put(object)
            }
            #expect(server.requests.count == 3)
        }
        var configuration = self.configuration
        configuration.certificateAuthorities = "/nonexistent"
        let error = #expect(throws: HawserError.self) {
            _ = try S3ObjectStore(configuration, credentials: TestCredentials())
        }
        #expect(error?.code == .invalidArgument)
    }
}
