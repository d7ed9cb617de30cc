import AsyncHTTPClient
import HawserFormat
import NIOCore
import NIOSSL
import Testing

@testable import HawserTestServer

@Suite struct BehaviourTests {
    private func withClient(_ behaviour: ServerBehaviour, _ body: (TestClient) async throws -> Void) async throws {
        try await withS3TestServer(.with { $0.behaviour = behaviour }) { try await body(TestClient($0)) }
    }

    @Test func rcloneIsWeak() async throws {
        try await withClient(.rclone) { client in
            try await client.put("k", [1])
            #expect(try await client.put("k", [2], headers: ["if-none-match": "*"]).status == 200)
            #expect(try await client.put("k", [3], headers: ["if-match": "\"0\""]).status == 200)
            let wrong = String(repeating: "0", count: 64)
            #expect(try await client.send("PUT", "/hawser/k", body: [1, 2, 3], payload: wrong).status == 200)
            let part = try await client.get("k", range: "bytes=1-1")
            #expect(part.status == 200)
            #expect(part.body == [2])
            #expect(part.headers["content-range"] == "bytes 1-1/3")
            #expect(try await client.put("x//y", [1]).code == "InvalidArgument")
            #expect(try await client.put("x/../y", [1]).code == "InvalidArgument")
            #expect(try await client.put("/x", [1]).code == "InvalidArgument")
            #expect(try await client.send("GET", "/hawser?versioning").status == 501)
            #expect(try await client.assumeRole().status == 405)
            #expect(try await client.send("PUT", "/hawser").code == "BucketAlreadyExists")
            #expect(try await client.send("POST", "/hawser?delete", body: Array("<x/>".utf8)).code == "MalformedXML")
        }
    }

    @Test func cephSaysLittle() async throws {
        let clock = SteppedClock()
        let configuration = S3TestServer.Configuration.with {
            $0.behaviour = .ceph
            $0.now = { clock.now }
        }
        try await withS3TestServer(configuration) { server in
            let client = TestClient(server)
            let session = try TestClient(server, session: try await client.assumeRole(seconds: 900))
            clock.advance(by: 900)
            let expired = try await session.get("k")
            #expect(expired.status == 403)
            #expect(expired.code == "AccessDenied")
            #expect(expired.element("Message") == "")
            let etag = try #require(try await client.put("k", [1]).headers["etag"])
            #expect(try await client.put("k", [2], headers: ["if-match": etag]).status == 412)
            #expect(try await client.put("k", [2], headers: ["if-match": etag.filter { $0 != "\"" }]).status == 200)
            #expect(try await client.send("PUT", "/hawser").status == 200)
            #expect(try await client.send("GET", "/hawser/k", unsigned: ["x-amz-meta-added": "x"]).status == 200)
        }
    }

    @Test func swiftWantsItsRegion() async throws {
        try await withClient(.swift) { client async throws in
            #expect(try await client.put("k", [1], headers: ["if-match": "\"0\""]).status == 501)
            #expect(try await client.assumeRole().status == 405)
            #expect(try await client.send("PUT", "/hawser").code == "BucketAlreadyOwnedByYou")
        }
    }

    @Test func anotherRegionIsTold() async throws {
        let configuration = S3TestServer.Configuration.with { $0.region = "eu-central-1" }
        try await withS3TestServer(configuration) { server async throws in
            let client = TestClient(server)
            #expect(try await client.send("HEAD", "/hawser").headers["x-amz-bucket-region"] == "eu-central-1")
            #expect(
                try await client.send("GET", "/hawser?location").text.contains(">eu-central-1</LocationConstraint>")
            )
        }
    }

    @Test func headersThatWereNotSignedAreRefused() async throws {
        try await withClient(.aws) { client in
            let reply = try await client.send("GET", "/hawser/k", unsigned: ["x-amz-meta-added": "x"])
            #expect(reply.status == 403)
            #expect(reply.element("HeadersNotSigned") == "x-amz-meta-added")
        }
    }

    @Test func bucketsAreMadeOnce() async throws {
        try await withClient(.aws) { client async throws in
            #expect(try await client.send("PUT", "/another").status == 200)
            #expect(try await client.send("PUT", "/another").code == "BucketAlreadyOwnedByYou")
            #expect(try await client.send("PUT", "/Not_a_name").code == "InvalidBucketName")
            #expect(try await client.send("GET", "/").elements("Name") == ["another", "hawser"])
            #expect(try await client.send("HEAD", "/nowhere").status == 404)
            #expect(try await client.send("GET", "/hawser?versioning").status == 200)
        }
    }

    @Test func theMD5CanBeSpared() async throws {
        var behaviour = ServerBehaviour.aws
        behaviour.answersMD5ETags = false
        behaviour.allowsUnsignedPayload = false
        behaviour.quotaError = .init(507, "InsufficientStorage")
        let configuration = S3TestServer.Configuration.with {
            $0.behaviour = behaviour
            $0.quota = 1
        }
        try await withS3TestServer(configuration) { server in
            let client = TestClient(server)
            #expect(try await client.put("k", [1]).headers["etag"]?.hasSuffix("-1\"") == true)
            #expect(try await client.send("PUT", "/hawser/k", body: [1], payload: "UNSIGNED-PAYLOAD").status == 403)
            let full = try await client.put("l", [1])
            #expect(full.status == 507)
            #expect(full.code == "InsufficientStorage")
        }
    }

    @Test func theLogHasWhatWasSent() async throws {
        try await withS3TestServer(.with { $0.logLimit = 2 }) { server in
            let client = TestClient(server)
            try await client.put("a", [1, 2], headers: ["x-amz-meta-n": "v"])
            _ = try await client.get("a")
            _ = try await client.get("missing")
            #expect(server.requests.map(\.number) == [2, 3])
            #expect(server.requests.map(\.status) == [200, 404])
            #expect(server.requests.map(\.bytesOut)[0] == 2)
            #expect(server.requests[1].code == "NoSuchKey")
            #expect(server.requests[1].key == "missing")
            #expect(server.requests[1].accessKeyID == client.accessKeyID)
            #expect(server.requests[0].headers["x-amz-date"] != nil)
            #expect(server.counts.total == 3)
            #expect(server.counts.bytesIn == 2)
            #expect(server.connections.opened >= 1)
            server.resetCounts()
            #expect(server.counts == RequestCounts())
            #expect(server.requests.isEmpty)
        }
    }

    @Test(arguments: [true, false])
    func itSpeaksTLS(withOwnCertificate: Bool) async throws {
        let made = try SelfSignedCertificate()
        let configuration = S3TestServer.Configuration.with {
            $0.security = withOwnCertificate ? .selfSigned : .pem(certificates: made.pem, key: made.key)
        }
        try await withS3TestServer(configuration) { server in
            #expect((server.certificate != nil) == withOwnCertificate)
            let certificate = server.certificate ?? made.pem
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)))
            try await HTTPClient.withHTTPClient(configuration: .init(tlsConfiguration: tls)) { http in
                var client = TestClient(server)
                client.http = http
                #expect(try await client.put("k", [1]).status == 200)
                server.add(ServerFault(.cutAnswer(afterBytes: 20), on: [.get]))
                await #expect(throws: (any Error).self) { try await client.get("k") }
                try server.verifyAllFired()
                #expect(try await client.get("k").body == [1])
            }
        }
    }

    @Test func aPortThatIsTakenIsAnError() async throws {
        try await withS3TestServer { server in
            let configuration = S3TestServer.Configuration.with { $0.port = server.port }
            await #expect(throws: (any Error).self) { try await withS3TestServer(configuration) { _ in } }
        }
    }

    @Test func timesHaveTheirForms() throws {
        let time = try #require(Timestamp(basic: "20261125T223907Z"))
        #expect(time.basic == "20261125T223907Z")
        #expect(time.extended == "2026-11-25T22:39:07.000Z")
        #expect(time.http == "Wed, 25 Nov 2026 22:39:07 GMT")
        #expect(Timestamp(seconds: 0).http == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(Timestamp(extended: "2026-11-25T22:39:07Z") == time)
        #expect(Timestamp(extended: "2026-11-25T22:39:07.5Z")?.nanoseconds == 500_000_000)
        for text in ["", "20261125T223907", "20261325T223907Z", "2026-11-25T22:39:07", "20261125t223907Z"] {
            #expect(Timestamp(basic: text) == nil)
            #expect(Timestamp(extended: text) == nil)
        }
        #expect(time.advanced(by: .milliseconds(-1)) < time)
        #expect(time.advanced(by: .seconds(-1)).advanced(by: .seconds(1)) == time)
    }
}
