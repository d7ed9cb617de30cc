import AsyncHTTPClient
import HawserTesting
import Testing

@testable import HawserTestServer

@Suite struct FaultTests {
    private func withClient(_ fault: ServerFault, _ body: (TestClient) async throws -> Void) async throws {
        try await withS3TestServer { server in
            try await server.store("k", Array(0..<100), in: "hawser")
            server.add(fault)
            try await body(TestClient(server))
            try server.verifyAllFired()
        }
    }

    @Test func answersTakeThePlaceOfRequests() async throws {
        try await withClient(ServerFault(.answer(.slowDown(retryAfter: "7")), on: [.put], occurrence: .first(2))) {
            client in
            for _ in 0..<2 {
                let reply = try await client.put("new", [1])
                #expect(reply.status == 503)
                #expect(reply.code == "SlowDown")
                #expect(reply.headers["retry-after"] == "7")
            }
            #expect(try await client.get("new").status == 404)
            #expect(try await client.put("new", [1]).status == 200)
            #expect(client.server.counts[.put] == 3)
            #expect(client.server.counts[status: 503] == 2)
        }
    }

    @Test func faultsCanBeThoseOfOneName() async throws {
        try await withClient(ServerFault(.answer(.internalError), on: [.get], host: "localhost")) {
            client async throws in
            #expect(try await client.get("k").status == 200)
            var other = client
            other.host = "localhost:\(client.server.port)"
            #expect(try await other.get("k").status == 500)
            #expect(client.server.requests.map(\.host) == ["127.0.0.1", "localhost"])
        }
    }

    @Test func answersCanHideWhatHappened() async throws {
        try await withClient(ServerFault(.answerAfter(.internalError), on: [.put])) { client async throws in
            #expect(try await client.put("new", [1]).code == "InternalError")
            #expect(try await client.get("new").body == [1])
        }
    }

    @Test func redirectsAndProxies() async throws {
        try await withClient(ServerFault(.answer(.redirect(region: "eu-west-9")), on: [.get])) { client in
            let reply = try await client.get("k")
            #expect(reply.status == 301)
            #expect(reply.headers["x-amz-bucket-region"] == "eu-west-9")
            client.server.add(ServerFault(.answer(.html()), on: [.get]))
            let html = try await client.get("k")
            #expect(html.status == 200)
            #expect(html.headers["content-type"]?.hasPrefix("text/html") == true)
        }
    }

    @Test func resetsComeBeforeOrAfterTheEffect() async throws {
        try await withClient(ServerFault(.resetBefore, on: [.put], keys: .exactly("a"))) { client async throws in
            await #expect(throws: (any Error).self) { try await client.put("a", [1]) }
            #expect(try await client.get("a").status == 404)
            client.server.add(ServerFault(.resetAfter, on: [.put], keys: .prefix("b")))
            await #expect(throws: (any Error).self) { try await client.put("bb", [1]) }
            #expect(try await client.get("bb").body == [1])
            client.server.add(ServerFault(.resetAfter, on: [.delete], keys: .containing("b")))
            await #expect(throws: (any Error).self) { try await client.delete("bb") }
            #expect(try await client.get("bb").status == 404)
            #expect(client.server.requests.count { $0.status == nil } == 3)
        }
    }

    @Test func requestsAreCutInTheirBodies() async throws {
        try await withClient(ServerFault(.cutRequest(afterBytes: 1_000_000), on: [.put])) { client in
            await #expect(throws: (any Error).self) {
                try await client.put("new", [UInt8](repeating: 1, count: 5_000_000))
            }
            #expect(try await client.get("new").status == 404)
            let record = try #require(client.server.requests.first)
            #expect((1_000_000..<5_000_000).contains(record.bytesIn))
        }
    }

    @Test func answersAreCutAtEveryByte() async throws {
        try await withS3TestServer { server in
            try await server.store("k", Array(0..<30), in: "hawser")
            let client = TestClient(server)
            for count in 0..<30 {
                server.add(ServerFault(.cutBody(afterBytes: count), on: [.get]))
                await #expect(throws: (any Error).self) { try await client.get("k") }
            }
            // Within the head, too.
            for count in [0, 1, 15, 100] {
                server.add(ServerFault(.cutAnswer(afterBytes: count), on: [.get]))
                await #expect(throws: (any Error).self) { try await client.get("k") }
            }
            try server.verifyAllFired()
            #expect(try await client.get("k").body == Array(0..<30))
        }
    }

    @Test func bodiesAreWrong() async throws {
        try await withClient(ServerFault(.truncate(10), on: [.get])) { client async throws in
            #expect(try await client.get("k").body == Array(0..<10))
            client.server.add(ServerFault(.flip(bit: 9), on: [.get]))
            #expect(try await client.get("k").body == Corpus.flipping(bit: 9, of: Array(0..<100)))
            client.server.add(ServerFault(.body([7]), on: [.get]))
            #expect(try await client.get("k").body == [7])
            client.server.add(ServerFault(.storeTruncated(3), on: [.put]))
            #expect(try await client.put("new", [1, 2, 3, 4]).status == 200)
            #expect(try await client.get("new").body == [1, 2, 3])
        }
    }

    @Test func bodiesAreSlow() async throws {
        try await withClient(ServerFault(.slowBody(pieces: 10, every: .microseconds(1)), on: [.get])) {
            client async throws in
            #expect(try await client.get("k").body == Array(0..<100))
        }
    }

    @Test func serversStallUntilTheyAreReleased() async throws {
        let effects: [(Gate) -> ServerFault.Effect] = [
            { .hold($0) }, { .holdAnswer($0) }, { .holdRequest(afterBytes: 1, $0) }, { .holdBody(afterBytes: 0, $0) },
        ]
        for (number, effect) in effects.enumerated() {
            let gate = Gate()
            let kind: RequestKind = number == 3 ? .get : .put
            try await withClient(ServerFault(effect(gate), on: [kind])) { client in
                async let reply = kind == .get ? client.get("k") : client.put("new", [1])
                try await gate.waitForArrivals(1)
                // Answers that wait come after their effect, requests that wait before it.
                #expect(client.server.keys(in: "hawser")?.contains("new") == (number == 1))
                gate.open()
                #expect(try await reply.status == 200)
            }
        }
    }

    @Test func aServerThatStallsEndsAllTheSame() async throws {
        let gate = Gate()
        let failure = try await withS3TestServer { server in
            server.add(ServerFault(.hold(gate), on: [.get]))
            let client = TestClient(server)
            let request = Task { try await client.get("k") }
            try await gate.waitForArrivals(1)
            return request
        }
        await #expect(throws: (any Error).self) { try await failure.value }
    }

    @Test func listsAreStale() async throws {
        try await withClient(ServerFault(.hideNewest(1), on: [.list], occurrence: .every)) { client in
            try await client.put("new", [1])
            #expect(try await client.list().elements("Key") == ["k"])
            #expect(try await client.get("new").status == 200)
        }
    }

    @Test func tokensExpireAtARequest() async throws {
        try await withClient(ServerFault(.expireToken, on: [.put], occurrence: .only(2))) { client in
            let session = try TestClient(client.server, session: try await client.assumeRole())
            #expect(try await session.put("a", [1]).status == 200)
            #expect(try await session.put("b", [1]).code == "ExpiredToken")
            #expect(try await session.put("b", [1]).code == "ExpiredToken")
            let renewed = try TestClient(client.server, session: try await client.assumeRole())
            #expect(try await renewed.put("b", [1]).status == 200)
        }
    }

    @Test func aShareOfAllRequestsFails() async throws {
        let failed = (0..<2).map { _ in (1...1000).filter { Fault.Occurrence.share(0.3, seed: 5).contains($0) } }
        #expect(failed[0] == failed[1])
        #expect((250...350).contains(failed[0].count))
        #expect(!(1...100).contains { Fault.Occurrence.share(0, seed: 5).contains($0) })
        #expect((1...100).allSatisfy { Fault.Occurrence.share(1, seed: 5).contains($0) })

        let fault = ServerFault(.answer(.slowDown()), occurrence: .share(0.3, seed: 5))
        try await withClient(fault) { client in
            var statuses: [Int] = []
            for _ in 0..<50 { statuses.append(try await client.get("k").status) }
            #expect(statuses.count { $0 == 503 } == failed[0].count { $0 <= 50 })
        }
    }

    @Test func faultsThatNeverHappenAreNamed() async throws {
        try await withS3TestServer { server in
            server.add(ServerFault(.resetBefore, on: [.put], name: "never"))
            #expect(throws: ContractViolation.self) { try server.verifyAllFired() }
            #expect(server.fired.isEmpty)
            server.removeFaults()
            try server.verifyAllFired()
        }
    }
}
