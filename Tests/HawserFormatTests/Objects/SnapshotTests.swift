import Testing

@testable import HawserFormat

struct SnapshotTests {
    private let sealer = ObjectFixtures.sealer
    private let snapshot = ObjectFixtures.snapshot
    private let checkpoint = ObjectFixtures.checkpoint

    @Test func aSnapshotComesBackAndIsNamedByItsBytes() throws {
        let (object, id) = try snapshot.encode(sealer)
        #expect(id == ObjectName(hashOf: object))
        #expect(try Snapshot(decoding: object, sealer: sealer) == snapshot)
        #expect(errorCode { _ = try Snapshot(decoding: object + [0], sealer: sealer) } == .damaged)
    }

    @Test func textsThatAreNotUTF8HaveTheirBytesBeside() throws {
        let json = try #require(try snapshot.json().object)
        #expect(json["hostname"] == .string("h\u{fffd}st"))
        #expect(json["hostname_raw"] == .string("aP9zdA=="))
        #expect(json["username"] == .string("anna") && json["username_raw"] == nil)
        #expect(json["paths"] == .array([.string("/home"), .string("/srv/\u{fffd}")]))
        #expect(json["paths_raw"] == .array([.null, .string("L3Nydi/+")]))
        #expect(json["tags_raw"] == nil)
    }

    @Test func bigNumbersAndUnknownFieldsSurvive() throws {
        var text = String(decoding: try snapshot.json().bytes, as: UTF8.self)
        text.replace("\"time\":", with: "\"zeta\":[12345678901234567890123,{\"q\":1.50}],\"time\":")
        text.replace("\"summary\":{", with: "\"summary\":{\"later\":9007199254740993,")
        let decoded = try Snapshot(json: JSONValue(parsing: Array(text.utf8)))
        #expect(decoded.fence == 18_446_744_073_709_551_615)
        #expect(decoded.summary.bytes == 9_007_199_254_740_993)
        let retagged = decoded.retagged([Array("new".utf8)], id: ObjectFixtures.name(5))
        let (object, _) = try retagged.encode(sealer)
        let again = try Snapshot(decoding: object, sealer: sealer)
        #expect(again == retagged && again.original == ObjectFixtures.name(5))
        #expect(again.retagged([], id: ObjectFixtures.name(6)).original == ObjectFixtures.name(5))
        let json = try #require(try again.json().object)
        #expect(json["zeta"]?.bytes == Array(#"[12345678901234567890123,{"q":1.50}]"#.utf8))
        #expect(json["summary"]?.object?["later"] == .number("9007199254740993"))
    }

    @Test func missingOrWrongFieldsAreRefused() throws {
        let json = try #require(try snapshot.json().object)
        let optional = ["parent", "original", "session", "fence", "hostname_raw", "paths_raw"]
        for field in json.fields {
            var without = json
            without[field.name] = nil
            #expect((errorCode { _ = try Snapshot(json: .object(without)) } == nil) == optional.contains(field.name))
            var wrong = json
            wrong[field.name] = .array([.array([])])
            #expect(errorCode { _ = try Snapshot(json: .object(wrong)) } == .damaged, "\(field.name)")
        }
        for (name, value) in [
            ("tree_height", JSONValue.integer(32)), ("tree_height", .integer(-1)), ("error_count", .integer(-1)),
            ("error_count", .number("1.0")), ("fence", .number("18446744073709551616")), ("tree", .string("00")),
            ("time", .string("yesterday")), ("paths_raw", .array([.null])), ("hostname_raw", .string("?")),
            ("hostname_raw", .null), ("parent", .null),
        ] {
            var wrong = json
            wrong[name] = value
            #expect(errorCode { _ = try Snapshot(json: .object(wrong)) } == .damaged, "\(name)")
        }
    }

    @Test func changedBodiesNeverTrap() throws {
        for (body, decode) in [
            (try snapshot.json().bytes, { @Sendable in _ = try Snapshot(json: JSONValue(parsing: $0)) }),
            (try checkpoint.json().bytes, { @Sendable in _ = try Checkpoint(json: JSONValue(parsing: $0)) }),
        ] as [([UInt8], @Sendable ([UInt8]) throws -> Void)] {
            var changed = body
            for index in body.indices {
                changed[index] ^= 1 << (index % 8)
                _ = errorCode { try decode(changed) }
                changed[index] = body[index]
                #expect(errorCode { try decode(Array(body[..<index])) } == .damaged)
            }
        }
    }

    @Test func impossibleValuesAreNotWritten() {
        var farTime = snapshot
        farTime.time = Timestamp(seconds: .max)
        var tall = snapshot
        tall.treeHeight = 32
        for snapshot in [farTime, tall] { #expect(errorCode { _ = try snapshot.encode(sealer) } == .invalidArgument) }
    }

    @Test func aCheckpointComesBack() throws {
        let (object, name) = try checkpoint.encode(sealer)
        #expect(name == ObjectName(hashOf: object))
        #expect(try Checkpoint(decoding: object, sealer: sealer) == checkpoint)
        #expect(errorCode { _ = try Snapshot(decoding: object, sealer: sealer) } == .damaged)
        var early = checkpoint
        early.prefix = nil
        early.fileInWork = nil
        #expect(try Checkpoint(decoding: early.encode(sealer).object, sealer: sealer) == early)
        early.prefix = Checkpoint.Prefix(tree: ObjectFixtures.chunk(1), treeHeight: 0, lastPath: .root)
        #expect(try Checkpoint(decoding: early.encode(sealer).object, sealer: sealer) == early)
    }

    @Test func aCheckpointWithHalfAPositionIsRefused() throws {
        let json = try #require(try checkpoint.json().object)
        for name in ["tree_height", "last_path", "file_size"] {
            var half = json
            half[name] = nil
            #expect(errorCode { _ = try Checkpoint(json: .object(half)) } == .damaged)
        }
        var noFile = checkpoint
        noFile.fileInWork?.entry.kind = .fifo
        #expect(errorCode { _ = try noFile.encode(sealer) } == .invalidArgument)
        var wrongOffset = checkpoint
        wrongOffset.fileInWork?.offset = 4097
        #expect(errorCode { _ = try wrongOffset.encode(sealer) } == .invalidArgument)
        var badPath = json
        badPath["last_path"] = .string("/a/../b")
        badPath["last_path_raw"] = nil
        #expect(errorCode { _ = try Checkpoint(json: .object(badPath)) } == .damaged)
    }
}
