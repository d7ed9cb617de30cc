import Crypto
import Foundation
import NIOCore
import Testing

@testable import HawserTestServer

@Suite struct ListTests {
    private func bucket(_ keys: [String]) -> BucketTable.Bucket {
        var bucket = BucketTable.Bucket(hasObjectLock: false)
        for key in keys {
            let attributes = ObjectAttributes(length: 0, etag: "", seconds: 0, nanoseconds: 0, headers: [:])
            bucket.put(ObjectPath(key), StoredObject(content: .memory(.init()), attributes: attributes))
        }
        return bucket
    }

    private func list(
        _ keys: [String],
        prefix: String = "",
        delimiter: String = "",
        after: String? = nil,
        limit: Int = 1000,
        effects: [ServerFault.Effect] = []
    ) -> (keys: [String], isTruncated: Bool) {
        var query = ObjectListQuery()
        query.prefix = ObjectPath(prefix)
        query.delimiter = Array(delimiter.utf8)
        query.after = after.map { ObjectPath($0) }
        query.limit = limit
        let page = ObjectList(bucket(keys), query, FaultEffects(effects))
        return (page.items.map(\.path.text), page.isTruncated)
    }

    @Test func keysComeInTheOrderOfTheirBytes() {
        // Characters would order the last two otherwise, and take the accents for one.
        let keys = ["a", "B", "a/b", "a-b", "é", "e\u{301}", "\u{ff01}", "😀"]
        #expect(list(keys).keys == ["B", "a", "a-b", "a/b", "e\u{301}", "é", "\u{ff01}", "😀"])
    }

    @Test func prefixesAndPlacesAreBytes() {
        let keys = ["a", "a/1", "a/2", "a/3", "a0", "b"]
        #expect(list(keys, prefix: "a/").keys == ["a/1", "a/2", "a/3"])
        #expect(list(keys, prefix: "a/", after: "a/1").keys == ["a/2", "a/3"])
        #expect(list(keys, prefix: "a/", after: "a/11").keys == ["a/2", "a/3"])
        #expect(list(keys, prefix: "a/", after: "Z").keys == ["a/1", "a/2", "a/3"])
        #expect(list(keys, prefix: "a/", after: "b").keys == [])
        #expect(list(keys, prefix: "z").keys == [])
    }

    @Test func pagesSayWhetherMoreFollows() {
        let keys = ["a", "b", "c"]
        #expect(list(keys, limit: 2) == (["a", "b"], true))
        #expect(list(keys, limit: 3) == (["a", "b", "c"], false))
        #expect(list(keys, after: "a", limit: 2) == (["b", "c"], false))
        #expect(list(keys, limit: 0) == ([], false))
    }

    @Test func delimitersGroup() {
        let keys = ["a/1", "a/2", "b", "c/d/e", "c/f"]
        #expect(list(keys, delimiter: "/").keys == ["a/", "b", "c/"])
        #expect(list(keys, prefix: "c/", delimiter: "/").keys == ["c/d/", "c/f"])
        #expect(list(keys, delimiter: "/", limit: 1) == (["a/"], true))
        #expect(list(keys, delimiter: "/", after: "a/", limit: 1) == (["b"], true))
        #expect(list(["a/1", "a/2"], delimiter: "/", limit: 1) == (["a/"], false))
    }

    @Test func faultyListsHideSkipAndRepeat() {
        let keys = ["a", "c", "b"]
        #expect(list(keys, effects: [.hideNewest(1)]).keys == ["a", "c"])
        #expect(list(keys, effects: [.skipKeys(every: 2)]).keys == ["a", "c"])
        #expect(list(keys, after: "a", limit: 2, effects: [.repeatKeys]).keys == ["a", "a"])
    }

    @Test(arguments: [true, false])
    func aClientGoesThroughAllPages(spaceIsPlus: Bool) async throws {
        let configuration = S3TestServer.Configuration.with { $0.behaviour.encodesSpaceAsPlus = spaceIsPlus }
        try await withS3TestServer(configuration) { server in
            let client = TestClient(server)
            let keys = (0..<25).map { "k \($0)/+%&<é" }
            for key in keys { try await server.store(key, [1], in: "hawser") }
            var found: [String] = []
            var token: String?
            repeat {
                let query = "&encoding-type=url&max-keys=10&prefix=k%20"
                let next = token.map { "&continuation-token=" + PercentCoding.encode($0.utf8) } ?? ""
                let page = try await client.list(query + next)
                #expect(page.element("KeyCount").flatMap { Int($0) } == page.elements("Key").count)
                found += try page.elements("Key").map { key in
                    let decoded = try #require(PercentCoding.decode(key.utf8, plusIsSpace: spaceIsPlus))
                    return String(decoding: decoded, as: UTF8.self)
                }
                #expect(page.elements("Size").allSatisfy { $0 == "1" })
                token = page.element("NextContinuationToken")
                #expect((page.element("IsTruncated") == "true") == (token != nil))
            } while token != nil
            #expect(found == keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
            #expect(server.counts[.list] == 3)
        }
    }

    @Test func theFirstVersionGoesOnFromAMarker() async throws {
        try await withS3TestServer { server in
            let client = TestClient(server)
            for key in ["a", "b", "c"] { try await server.store(key, [], in: "hawser") }
            let first = try await client.send("GET", "/hawser?max-keys=2")
            #expect(first.elements("Key") == ["a", "b"])
            #expect(first.element("IsTruncated") == "true")
            #expect(try await client.send("GET", "/hawser?marker=b").elements("Key") == ["c"])
            #expect(try await client.list("&start-after=a").elements("Key") == ["b", "c"])
            #expect(try await client.list("&max-keys=x").code == "InvalidArgument")
            #expect(try await client.list("&continuation-token=%21").code == "InvalidArgument")
        }
    }

    @Test func manyAreDeletedAtOnce() async throws {
        try await withS3TestServer { server in
            let client = TestClient(server)
            for key in ["a&b", "c d ", "e"] { try await server.store(key, [1], in: "hawser") }
            func delete(_ keys: [String], isQuiet: Bool = false) async throws -> TestClient.Reply {
                let objects = keys.map { "<Object><Key>\($0)</Key></Object>" }.joined(separator: "\n")
                let document =
                    "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(objects)"
                    + "<Quiet>\(isQuiet)</Quiet></Delete>"
                return try await client.send(
                    "POST",
                    "/hawser?delete",
                    headers: ["content-md5": Data(Insecure.MD5.hash(data: Array(document.utf8))).base64EncodedString()],
                    body: Array(document.utf8)
                )
            }
            #expect(try await delete(["a&amp;b", "missing"]).elements("Deleted").count == 2)
            #expect(server.keys(in: "hawser") == ["c d ", "e"])
            #expect(try await delete(["c d "], isQuiet: true).elements("Deleted").isEmpty)
            #expect(server.keys(in: "hawser") == ["e"])
            let many = (0...1000).map { "k\($0)" }
            #expect(try await delete(many).code == "MalformedXML")
            #expect(try await client.send("POST", "/hawser?delete", body: [1]).code == "InvalidRequest")
            let wrong = try await client.send(
                "POST",
                "/hawser?delete",
                headers: ["content-md5": Data(Insecure.MD5.hash(data: [9])).base64EncodedString()],
                body: Array("<Delete><Object><Key>e</Key></Object></Delete>".utf8)
            )
            #expect(wrong.code == "BadDigest")
            #expect(server.keys(in: "hawser") == ["e"])
        }
    }
}
