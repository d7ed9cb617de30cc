import HawserFormat
import HawserStorage
import HawserTesting
import NIOHTTP1
import Testing

@testable import HawserS3

@Suite("Values of the S3 store")
struct S3ValueTests {
    @Test("Endpoints are URLs and nothing else")
    func endpoints() throws {
        for (text, wanted) in [
            ("https://s3.example.com", "https://s3.example.com"),
            ("HTTPS://S3.Example.com:443/", "https://s3.example.com"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"), ("http://[::1]:9000", "http://[::1]:9000"),
            ("https://x.example/storage/v1/s3/", "https://x.example/storage/v1/s3"), ("http://h:80", "http://h"),
        ] {
            #expect(try S3Endpoint(parsing: text).description == wanted)
        }
        for text in [
            "", "s3.example.com", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x:0",
            "https://x:99999", "https://x y",
        ] {
            let error = #expect(throws: HawserError.self, "\(text)") { _ = try S3Endpoint(parsing: text) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test("Requests reach the bucket in its path or in the host")
    func addressing() {
        var configuration = S3Configuration(
            endpoint: S3Endpoint(host: "s3.example.com", port: 8443),
            bucket: "hawser",
            prefix: "/one two/"
        )
        let key = ObjectKey.config(1)
        var request = HeadOperation(key: key).request(at: S3Location(configuration))
        #expect(request.host == "s3.example.com:8443")
        #expect(request.target == "/hawser/one%20two/config/1")
        configuration.addressing = .virtualHost
        request = HeadOperation(key: key).request(at: S3Location(configuration))
        #expect(request.host == "hawser.s3.example.com:8443")
        #expect(request.target == "/one%20two/config/1")
        let list = ListOperation(prefix: "config/", after: key, continuation: nil, limit: 7)
        #expect(
            list.request(at: S3Location(configuration)).target
                == "/?encoding-type=url&list-type=2&max-keys=7&prefix=one%20two%2Fconfig%2F"
                + "&start-after=one%20two%2Fconfig%2F1"
        )
    }

    @Test("A configuration that can't work is refused")
    func validation() {
        let endpoint = S3Endpoint(host: "s3.example.com")
        for configuration in [
            S3Configuration(endpoint: endpoint, bucket: ""), S3Configuration(endpoint: endpoint, bucket: "a/b"),
            S3Configuration(endpoint: endpoint, bucket: ".."), S3Configuration(endpoint: endpoint, bucket: "a?b"),
            S3Configuration(endpoint: endpoint, bucket: "b", connections: 0),
            S3Configuration(endpoint: endpoint, bucket: "b", prefix: String(repeating: "x", count: 801)),
        ] {
            #expect(throws: HawserError.self) { try configuration.validate() }
        }
    }

    @Test("A proxy of the environment is used, but not for what NO_PROXY excludes")
    func proxies() throws {
        let endpoint = S3Endpoint(host: "s3.example.com")
        let plain = S3Endpoint(host: "127.0.0.1", port: 9000, isSecure: false)
        func proxy(_ environment: [String: String], _ endpoint: S3Endpoint = endpoint) throws -> HTTPProxy? {
            try HTTPProxy.fromEnvironment(environment, for: endpoint)
        }
        #expect(try proxy([:]) == nil)
        #expect(try proxy(["HTTPS_PROXY": "http://p:3128"]) == HTTPProxy(host: "p", port: 3128))
        #expect(try proxy(["https_proxy": "p:1", "HTTPS_PROXY": "q:2"]) == HTTPProxy(host: "p", port: 1))
        #expect(try proxy(["HTTP_PROXY": "p:1"]) == nil)
        #expect(try proxy(["HTTP_PROXY": "p:1"], plain)?.port == 1)
        #expect(try proxy(["ALL_PROXY": "p"], plain)?.port == 1080)
        let authenticated = try proxy(["HTTPS_PROXY": "http://user:p%40ss@p:1"])
        #expect(authenticated == HTTPProxy(host: "p", port: 1, user: "user", password: Secret(Array("p@ss".utf8))))
        for text in ["socks5://p:1", "https://p:1", "http://", "http://p:0"] {
            #expect(throws: HawserError.self, "\(text)") { _ = try proxy(["HTTPS_PROXY": text]) }
        }
        for list in [
            "*", "example.com", ".example.com", "a, s3.example.com", "S3.EXAMPLE.COM:443", "x,example.com:443",
        ] {
            #expect(try proxy(["HTTPS_PROXY": "p:1", "NO_PROXY": list]) == nil, "\(list)")
        }
        for list in ["", "ample.com", "s3.example.com:444", "other", ",", "."] {
            #expect(try proxy(["HTTPS_PROXY": "p:1", "NO_PROXY": list]) != nil, "\(list)")
        }
        #expect(try proxy(["HTTP_PROXY": "p:1", "NO_PROXY": "127.0.0.1"], plain) == nil)
        let six = S3Endpoint(host: "[::1]", port: 9000, isSecure: false)
        for list in ["::1", "[::1]", "[::1]:9000"] {
            #expect(try proxy(["HTTP_PROXY": "p:1", "NO_PROXY": list], six) == nil, "\(list)")
        }
    }

    @Test("Times of XML and of HTTP are read, and nothing else")
    func times() {
        let time = Timestamp(seconds: 1_769_903_999)
        #expect(Timestamp(amazonText: "2026-01-31T23:59:59Z") == time)
        #expect(
            Timestamp(amazonText: "2026-01-31T23:59:59.5Z")
                == Timestamp(seconds: time.seconds, nanoseconds: 500_000_000)
        )
        #expect(Timestamp(httpText: "Sat, 31 Jan 2026 23:59:59 GMT") == time)
        #expect(time.amazonText == "20260131T235959Z")
        for text in ["", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T23:59:59.Z", "2026-01-31T23:59:59+01:00"] {
            #expect(Timestamp(amazonText: text) == nil, "\(text)")
        }
        for text in [
            "", "Sat, 31 Jan 2026", "Sat, 31 Foo 2026 23:59:59 GMT", "Sat, 32 Jan 2026 23:59:59 GMT",
            "Sat, 31 Jan 2026 23:59:59 CET",
        ] {
            #expect(Timestamp(httpText: text) == nil, "\(text)")
        }
    }

    private static let whole: [(String, String)] = [("Content-Length", "100")]

    @Test("A download is planned by what the answer says it has")
    func plans() throws {
        let key = ObjectKey.config(1)
        func plan(_ range: Range<Int>?, _ status: Int, _ headers: [(String, String)]) throws -> S3BodyPlan {
            try GetOperation(key: key, range: range).plan(S3AnswerHead(status: status, headers: HTTPHeaders(headers)))
        }
        let part = S3BodyPlan.exactly(10, after: 0, restFollows: false)
        #expect(try plan(nil, 200, Self.whole) == .exactly(100, after: 0, restFollows: false))
        #expect(try plan(5..<15, 206, [("Content-Range", "bytes 5-14/100")]) == part)
        // rclone's.
        #expect(try plan(5..<15, 200, [("Content-Range", "bytes 5-14/100")]) == part)
        // A server that does not know ranges.
        #expect(try plan(5..<15, 200, Self.whole) == .exactly(10, after: 5, restFollows: true))
        #expect(try plan(90..<100, 200, Self.whole) == .exactly(10, after: 90, restFollows: false))
        let unusable: [(Range<Int>?, Int, [(String, String)])] = [
            (5..<15, 206, [("Content-Range", "bytes 5-13/100")]), (5..<15, 206, [("Content-Range", "bytes 6-15/100")]),
            (5..<15, 206, [("Content-Range", "bytes 5-14/*")]), (5..<15, 206, Self.whole), (nil, 200, []),
            (5..<15, 206, [("Content-Range", "bytes 5-99999999999999999999/100")]), (nil, 204, Self.whole),
            (nil, 206, [("Content-Range", "bytes 0-9/100")]), (nil, 200, [("Content-Length", "-5")]),
        ]
        for (range, status, headers) in unusable {
            let error = #expect(throws: HawserError.self) { _ = try plan(range, status, headers) }
            #expect(error?.code == .unavailable)
        }
        for headers in [[("Content-Range", "bytes 90-99/100")], Self.whole] {
            let error = #expect(throws: HawserError.self) { _ = try plan(90..<101, 200, headers) }
            #expect(error?.code == .invalidArgument)
        }
        let huge = #expect(throws: HawserError.self) { _ = try plan(nil, 200, [("Content-Length", "999999999999")]) }
        #expect(huge?.code == .damaged)
        let page = #expect(throws: HawserError.self) {
            _ = try plan(nil, 200, Self.whole + [("Content-Type", "text/html")])
        }
        #expect(page?.isRetryable == false)
    }

    @Test("A body is cut to what was asked for, and never longer or shorter", arguments: [1, 3, 7, 100])
    func bodies(pieceLength: Int) throws {
        let bytes = Corpus.incompressible(100, seed: 1)
        func read(_ plan: S3BodyPlan, _ bytes: [UInt8] = bytes) throws -> [UInt8] {
            var reader = S3BodyReader(plan)
            for start in stride(from: 0, to: bytes.count, by: pieceLength) {
                if try reader.add(bytes[start..<min(start + pieceLength, bytes.count)]) { break }
            }
            return try reader.finish()
        }
        #expect(try read(.exactly(100, after: 0, restFollows: false)) == bytes)
        #expect(try read(.exactly(10, after: 5, restFollows: true)) == Array(bytes[5..<15]))
        #expect(try read(.exactly(10, after: 90, restFollows: false)) == Array(bytes[90...]))
        #expect(try read(.atMost(100)) == bytes)
        #expect(try read(.beginning(10)) == Array(bytes[..<10]))
        #expect(try read(.ignore) == [])
        for plan in [
            S3BodyPlan.exactly(99, after: 0, restFollows: false), .exactly(101, after: 0, restFollows: false),
            .exactly(10, after: 91, restFollows: true), .atMost(99),
        ] {
            #expect(throws: HawserError.self) { _ = try read(plan) }
        }
    }

    @Test("Standing still ends a request, moving slowly does not")
    func standstill() async throws {
        let clock = ManualClock()
        let watch = ProgressWatch(limit: .seconds(60), clock: clock)
        let gates = (0..<5).map { _ in Gate() }
        let steps = (0..<5).map { _ in Gate() }
        async let result = watch.run { note in
            for (gate, step) in zip(gates, steps) {
                try await gate.pass()
                note()
                step.open()
            }
            return 17
        }
        for (gate, step) in zip(gates, steps) {
            try await clock.waitForSleepers(1)
            clock.advance(by: .seconds(59))
            gate.open()
            try await step.pass()
        }
        #expect(try await result == 17)

        let never = Gate()
        async let stuck: Void = watch.run { _ in try await never.pass() }
        try await clock.waitForSleepers(1)
        clock.advance(by: .seconds(60))
        do {
            try await stuck
            Issue.record("It was not given up.")
        } catch let error as HawserError {
            #expect(error.code == .unavailable)
            #expect(error.isRetryable)
        }
    }
}
