import Crypto
import Foundation
import HawserFormat
import Testing

@testable import HawserTestServer

/// Where the tests of objects run: both kinds of storage do the same.
enum TestStorage: CaseIterable {
    case memory
    case folder

    func withServer<Result>(
        _ change: (inout S3TestServer.Configuration) -> Void = { _ in },
        _ body: (TestClient) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryFolder { folder in
            var configuration = S3TestServer.Configuration()
            configuration.storage = self == .memory ? .memory : .folder(folder)
            change(&configuration)
            return try await withS3TestServer(configuration) { server in try await body(TestClient(server)) }
        }
    }
}

@Suite struct ObjectTests {
    private static let hardKeys = [
        "packs/ab/abcdef", "a b/c+d", "a%20b/100%", "tilde~-._/!*'();:@&=$,?#[]", "日本/e\u{301}/é", "x//y", "x/../y",
        "/x",
        "x/", "\"<>&\\^`{|}", "tab\there", "😀", ".hidden", "..", String(repeating: "k", count: 1024),
    ]

    @Test(arguments: TestStorage.allCases)
    func hardKeysAreKept(_ storage: TestStorage) async throws {
        try await storage.withServer { client async throws in
            for (number, key) in Self.hardKeys.enumerated() {
                #expect(try await client.put(key, [UInt8(number)]).status == 200)
            }
            for (number, key) in Self.hardKeys.enumerated() {
                #expect(try await client.get(key).body == [UInt8(number)])
            }
            // Two that are one to Unicode are two keys.
            #expect(try await client.get("日本/é/é").code == "NoSuchKey")
            #expect(client.server.keys(in: "hawser")?.count == Self.hardKeys.count)
        }
    }

    @Test(arguments: TestStorage.allCases)
    func anObjectIsGivenWholeAndInParts(_ storage: TestStorage) async throws {
        try await storage.withServer { client in
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let put = try await client.put("k", bytes, headers: ["content-type": "a/b", "x-amz-meta-note": "n"])
            #expect(put.headers["etag"] == "\"\(hexadecimal(Insecure.MD5.hash(data: bytes)))\"")

            let whole = try await client.get("k")
            #expect(whole.body == bytes)
            #expect(whole.headers["content-type"] == "a/b")
            #expect(whole.headers["x-amz-meta-note"] == "n")
            #expect(whole.headers["etag"] == put.headers["etag"])

            let part = try await client.get("k", range: "bytes=10-19")
            #expect(part.status == 206)
            #expect(part.body == Array(bytes[10..<20]))
            #expect(part.headers["content-range"] == "bytes 10-19/3000000")
            #expect(try await client.get("k", range: "bytes=2999990-").body == Array(bytes.suffix(10)))
            #expect(try await client.get("k", range: "bytes=-5").body == Array(bytes.suffix(5)))
            #expect(try await client.get("k", range: "bytes=2999999-9999999").body == Array(bytes.suffix(1)))
            let beyond = try await client.get("k", range: "bytes=3000000-3000001")
            #expect(beyond.status == 416)
            #expect(beyond.code == "InvalidRange")

            let head = try await client.send("HEAD", "/hawser/k")
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == "3000000")
            #expect(head.body.isEmpty)

            #expect(try await client.delete("k").status == 204)
            #expect(try await client.delete("k").status == 204)
            #expect(try await client.get("k").code == "NoSuchKey")
            #expect(try await client.send("HEAD", "/hawser/k").status == 404)
            #expect(client.server.bytesStored == 0)
        }
    }

    @Test(arguments: TestStorage.allCases)
    func conditionsAreKept(_ storage: TestStorage) async throws {
        try await storage.withServer { client in
            let first = try await client.put("k", [1], headers: ["if-none-match": "*"])
            #expect(first.status == 200)
            let second = try await client.put("k", [2], headers: ["if-none-match": "*"])
            #expect(second.status == 412)
            #expect(second.code == "PreconditionFailed")
            #expect(try await client.get("k").body == [1])
            let etag = try #require(first.headers["etag"])
            #expect(try await client.put("k", [3], headers: ["if-match": "\"0\""]).status == 412)
            #expect(try await client.put("k", [3], headers: ["if-match": etag]).status == 200)
            #expect(try await client.put("missing", [3], headers: ["if-match": etag]).status == 404)
            #expect(try await client.get("k").body == [3])
        }
    }

    @Test(arguments: TestStorage.allCases)
    func ofThoseWhoRaceOneWins(_ storage: TestStorage) async throws {
        try await storage.withServer { client in
            let statuses = try await withThrowingTaskGroup(of: (UInt8, Int).self) { group in
                for racer: UInt8 in 0..<8 {
                    group.addTask {
                        let reply = try await client.put(
                            "k",
                            [UInt8](repeating: racer, count: 100_000),
                            headers: ["if-none-match": "*"]
                        )
                        return (racer, reply.status)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let winners = statuses.filter { $0.1 == 200 }
            #expect(winners.count == 1)
            #expect(statuses.count { $0.1 == 412 } == 7)
            #expect(try await client.get("k").body == [UInt8](repeating: winners[0].0, count: 100_000))
        }
    }

    @Test(arguments: TestStorage.allCases)
    func aBodyThatIsNotWhatWasSignedLeavesNothing(_ storage: TestStorage) async throws {
        try await storage.withServer { client in
            let other = hexadecimal(SHA256.hash(data: [9]))
            let wrong = try await client.send("PUT", "/hawser/k", body: [1], payload: other)
            #expect(wrong.status == 400)
            #expect(wrong.code == "XAmzContentSHA256Mismatch")
            let md5 = Data(Insecure.MD5.hash(data: [9])).base64EncodedString()
            #expect(try await client.put("k", [1], headers: ["content-md5": md5]).code == "BadDigest")
            #expect(try await client.put("k", [1], headers: ["content-md5": "no"]).code == "InvalidDigest")
            #expect(try await client.get("k").code == "NoSuchKey")
            let right = Data(Insecure.MD5.hash(data: [1])).base64EncodedString()
            #expect(try await client.put("k", [1], headers: ["content-md5": right]).status == 200)
            #expect(try await client.send("PUT", "/hawser/u", body: [1], payload: "UNSIGNED-PAYLOAD").status == 200)
        }
    }

    @Test func whatClientsMustNotUseIsRefused() async throws {
        try await withS3TestServer { server in
            let client = TestClient(server)
            let chunks = try await client.send(
                "PUT",
                "/hawser/k",
                body: [1],
                payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
            )
            #expect(chunks.status == 501)
            #expect(try await client.send("POST", "/hawser/k?uploads").status == 501)
            #expect(try await client.send("PUT", "/hawser/k?partNumber=1&uploadId=u", body: [1]).status == 501)
            let copy = try await client.send("PUT", "/hawser/k", headers: ["x-amz-copy-source": "/hawser/j"])
            #expect(copy.status == 501)
            #expect(server.counts[.unknown] == 3)
            #expect(server.keys(in: "hawser") == [])
        }
    }

    @Test func aBodyOfUnknownLengthIsRefused() async throws {
        try await withS3TestServer { server in
            let client = TestClient(server)
            let reply = try await client.sendChunked("/hawser/k", [1, 2, 3])
            #expect(reply.status == 411)
            #expect(reply.code == "MissingContentLength")
        }
    }

    @Test func errorsNameTheRequest() async throws {
        try await withS3TestServer { server in
            let reply = try await TestClient(server).get("a&b")
            #expect(reply.status == 404)
            #expect(reply.element("Resource") == "/hawser/a&amp;b")
            #expect(reply.element("RequestId") == reply.headers["x-amz-request-id"])
            #expect(reply.headers["date"]?.hasSuffix("GMT") == true)
            let bucket = try await TestClient(server).send("GET", "/nowhere/k")
            #expect(bucket.code == "NoSuchBucket")
        }
    }

    @Test func virtualHostsAreBuckets() async throws {
        try await withS3TestServer { server async throws in
            var client = TestClient(server)
            client.host = "hawser.localhost:\(server.port)"
            #expect(try await client.send("PUT", "/a/k", body: [1]).status == 200)
            #expect(try await client.send("GET", "/?list-type=2&prefix=a/").element("Key") == "a/k")
            #expect(server.keys(in: "hawser") == ["a/k"])
        }
    }

    @Test(arguments: TestStorage.allCases)
    func theQuotaHolds(_ storage: TestStorage) async throws {
        try await storage.withServer {
            $0.quota = 100
        } _: { client in
            #expect(try await client.put("a", [UInt8](repeating: 1, count: 60)).status == 200)
            let full = try await client.put("b", [UInt8](repeating: 1, count: 41))
            #expect(full.status == 403)
            #expect(full.code == "QuotaExceeded")
            #expect(try await client.put("b", [UInt8](repeating: 1, count: 40)).status == 200)
            #expect(client.server.bytesStored == 100)
            #expect(try await client.put("a", [UInt8](repeating: 2, count: 60)).status == 200)
            #expect(try await client.delete("a").status == 204)
            #expect(try await client.put("c", [UInt8](repeating: 1, count: 60)).status == 200)
        }
    }

    @Test func lockedObjectsStay() async throws {
        let clock = SteppedClock()
        let configuration = S3TestServer.Configuration.with {
            $0.buckets = [.init("hawser", hasObjectLock: true), "plain"]
            $0.now = { clock.now }
        }
        try await withS3TestServer(configuration) { server async throws in
            let client = TestClient(server)
            var lock = [
                "x-amz-object-lock-mode": "COMPLIANCE",
                "x-amz-object-lock-retain-until-date": clock.now.advanced(by: .seconds(60)).extended,
            ]
            #expect(try await client.put("k", [1], headers: lock).code == "InvalidRequest")
            lock["x-amz-checksum-sha256"] = Data(SHA256.hash(data: [2])).base64EncodedString()
            #expect(try await client.put("k", [1], headers: lock).code == "BadDigest")
            lock["x-amz-checksum-sha256"] = Data(SHA256.hash(data: [1])).base64EncodedString()
            #expect(try await client.put("k", [1], headers: lock).status == 200)
            #expect(try await client.send("PUT", "/plain/k", headers: lock, body: [1]).code == "InvalidRequest")
            #expect(try await client.send("GET", "/hawser?object-lock").element("ObjectLockEnabled") == "Enabled")
            #expect(try await client.send("GET", "/plain?object-lock").status == 404)
            #expect(try await client.send("GET", "/hawser/k?retention").element("Mode") == "COMPLIANCE")
            #expect(try await client.get("k").headers["x-amz-object-lock-mode"] == "COMPLIANCE")
            #expect(try await client.delete("k").code == "AccessDenied")
            #expect(try await client.put("k", [2]).code == "AccessDenied")
            #expect(try await retain(client, "GOVERNANCE", clock.now.advanced(by: .seconds(90))).code == "AccessDenied")
            #expect(try await retain(client, "COMPLIANCE", clock.now.advanced(by: .seconds(30))).code == "AccessDenied")
            #expect(try await retain(client, "COMPLIANCE", clock.now.advanced(by: .seconds(90))).status == 200)
            clock.advance(by: 60)
            #expect(try await client.delete("k").code == "AccessDenied")
            clock.advance(by: 30)
            #expect(try await client.delete("k").status == 204)
        }
    }

    private func retain(_ client: TestClient, _ mode: String, _ end: Timestamp) async throws -> TestClient.Reply {
        let body = Array(
            "<Retention><Mode>\(mode)</Mode><RetainUntilDate>\(end.extended)</RetainUntilDate></Retention>".utf8
        )
        let md5 = Data(Insecure.MD5.hash(data: body)).base64EncodedString()
        return try await client.send("PUT", "/hawser/k?retention", headers: ["content-md5": md5], body: body)
    }

    @Test func lockedVersionsStayWhenTheObjectIsDeleted() async throws {
        let configuration = S3TestServer.Configuration.with {
            $0.buckets = [.init("hawser", hasObjectLock: true, hasVersions: true)]
        }
        try await withS3TestServer(configuration) { server async throws in
            let client = TestClient(server)
            let version = try await client.put("k", [1]).headers["x-amz-version-id"]
            let id = try #require(version)
            #expect(
                try await retain(client, "GOVERNANCE", server.configuration.now().advanced(by: .seconds(60))).status
                    == 200
            )
            #expect(try await client.delete("k").status == 204)
            #expect(try await client.get("k").status == 404)
            #expect(try await client.send("DELETE", "/hawser/k?versionId=\(id)").code == "AccessDenied")
            try server.removeMarker(of: "k", in: "hawser")
            #expect(try await client.get("k").body == [1])
            #expect(server.lockEnd(of: "k", in: "hawser") != nil)
            server.endLock(of: "k", in: "hawser")
            #expect(try await client.send("DELETE", "/hawser/k?versionId=\(id)").status == 204)
            #expect(try await client.get("k").status == 404)
        }
    }

    @Test func whatAFolderHoldsIsServedAgain() async throws {
        try await withTemporaryFolder { folder in
            let configuration = S3TestServer.Configuration.with { $0.storage = .folder(folder) }
            let modified = try await withS3TestServer(configuration) { server in
                for key in Self.hardKeys { try await TestClient(server).put(key, Array(key.utf8)) }
                return try await TestClient(server).send("HEAD", "/hawser/x/").headers["last-modified"]
            }
            // What a killed server leaves, and what is no object.
            try Data([1]).write(to: URL(filePath: folder + "/hawser/.new-left"))
            try Data([1]).write(to: URL(filePath: folder + "/hawser/other"))
            try await withS3TestServer(configuration) { server async throws in
                #expect(Set(server.keys(in: "hawser") ?? []).count == Self.hardKeys.count)
                for key in Self.hardKeys {
                    #expect(try await TestClient(server).get(key).body == Array(key.utf8))
                }
                #expect(try await TestClient(server).send("HEAD", "/hawser/x/").headers["last-modified"] == modified)
                #expect(server.bytesStored == Self.hardKeys.reduce(0) { $0 + $1.utf8.count })
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/hawser/.new-left"))
        }
    }

    @Test(arguments: TestStorage.allCases)
    func testsCanReachBehindTheClients(_ storage: TestStorage) async throws {
        try await storage.withServer { client in
            let server = client.server
            try await server.store("k", [0, 1], in: "hawser")
            #expect(try await client.get("k").body == [0, 1])
            try await server.flip(bit: 8, of: "k", in: "hawser")
            #expect(try await client.get("k").body == [0, 0])
            #expect(try await server.object("k", in: "hawser") == [0, 0])
            try await server.remove("k", in: "hawser")
            #expect(try await server.object("k", in: "hawser") == nil)
            #expect(server.keys(in: "nowhere") == nil)
        }
    }
}
