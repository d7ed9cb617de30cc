import Testing

@testable import HawserFormat

@Suite struct TreePageTests {
    private func encode(_ entries: [Entry]) throws -> [UInt8] {
        var writer = LeafPageWriter()
        for entry in entries { try writer.append(entry) }
        return writer.finish()
    }

    private func decode(_ bytes: [UInt8], level: Int = 0) throws -> TreePage.Items {
        try TreePage(decoding: bytes, level: level).items
    }

    private func innerPage(_ count: Int) -> [UInt8] {
        var random = TreeFixtures.Generator(state: 17)
        let paths = Set((0..<count).map { _ in random.path() }).sorted()
        let children = paths.map { path in
            TreeChild(first: path, id: TreeFixtures.chunkID(path.bytes.count), entryCount: 300, byteCount: .max)
        }
        return InnerPageCoding.encode(children, level: 3)
    }

    @Test(arguments: 0..<20) func entriesSurviveTheRoundTrip(_ seed: UInt64) throws {
        var random = TreeFixtures.Generator(state: seed)
        let entries = random.entries(60)
        let bytes = try encode(entries)
        #expect(try decode(bytes) == .entries(entries))
    }

    @Test func emptyFileAlwaysHasContent() throws {
        for content in [nil, Content.inline([]), .extents([])] {
            var entry = Entry(path: TreeFixtures.path("a"), kind: .file)
            entry.content = content
            guard case .entries(let entries) = try decode(encode([entry])) else { return }
            #expect(entries[0].content == .inline([]))
        }
    }

    @Test func attributesAreSortedWhenWritten() throws {
        var entry = Entry(path: TreeFixtures.path("a"), kind: .directory)
        entry.attributes = [.init(name: [2], value: [1]), .init(name: [1], value: [])]
        var sorted = entry
        sorted.attributes.reverse()
        #expect(try encode([entry]) == encode([sorted]))
        #expect(try decode(encode([entry])) == .entries([sorted]))
    }

    @Test func writerIsReusable() throws {
        var random = TreeFixtures.Generator(state: 6)
        let entries = random.entries(50)
        var writer = LeafPageWriter()
        try writer.append(TreeFixtures.files(1)[0])
        _ = writer.finish()
        for entry in entries { try writer.append(entry) }
        #expect(try writer.finish() == encode(entries))
    }

    @Test func everyTruncationIsRefused() throws {
        var random = TreeFixtures.Generator(state: 7)
        for (bytes, level) in [(try encode(random.entries(30)), 0), (innerPage(20), 3)] {
            for length in 0..<bytes.count {
                #expect(throws: HawserError.self) { try decode(Array(bytes[..<length]), level: level) }
            }
            #expect(throws: HawserError.self) { try decode(bytes + [0], level: level) }
        }
    }

    @Test func changedBytesAreRefusedOrCanonical() throws {
        var random = TreeFixtures.Generator(state: 8)
        let leaf = try encode(random.entries(30))
        let inner = innerPage(20)
        for round in 0..<3_000 {
            var bytes = round.isMultiple(of: 3) ? inner : leaf
            let level = round.isMultiple(of: 3) ? 3 : 0
            for _ in 0...Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = random.chance(2) ? bytes[index] ^ 1 << UInt8.random(in: 0...7, using: &random) : .max
            }
            do {
                switch try decode(bytes, level: level) {
                case .entries(let entries): #expect(try encode(entries) == bytes)
                case .children(let children): #expect(InnerPageCoding.encode(children, level: level) == bytes)
                }
            } catch let error as HawserError {
                #expect(error.code == .damaged || error.code == .unsupported)
            }
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = TreeFixtures.Generator(state: 9)
        for level in [0, 1, 31, 32, 255] {
            for _ in 0..<500 {
                let bytes = [1, UInt8(level)] + random.bytes(.random(in: 0...80, using: &random))
                _ = try? decode(bytes, level: level)
            }
        }
    }

    @Test func levelHasToBeTheExpectedOne() throws {
        let leaf = try encode(TreeFixtures.files(3))
        #expect(throws: HawserError.self) { try decode(leaf, level: 1) }
        #expect(throws: HawserError.self) { try decode(innerPage(3), level: 2) }
        #expect(throws: HawserError.self) { try decode(leaf, level: -1) }
        let tooHigh = InnerPageCoding.encode(
            [TreeChild(first: .root, id: TreeFixtures.chunkID(1), entryCount: 1, byteCount: 0)],
            level: 32
        )
        #expect(throws: HawserError.self) { try decode(tooHigh, level: 32) }
    }

    @Test func laterVersionIsUnsupported() throws {
        var leaf = try encode(TreeFixtures.files(3))
        leaf[0] = 2
        let error = #expect(throws: HawserError.self) { try decode(leaf) }
        #expect(error?.code == .unsupported)
    }

    @Test func longPageIsRefused() {
        #expect(throws: HawserError.self) { try decode([UInt8](repeating: 1, count: TreePage.lengthLimit + 1)) }
    }

    @Test func largestEntryStaysInItsBound() throws {
        var entry = Entry(path: EntryPath(unchecked: [UInt8](repeating: 0x61, count: Entry.pathLimit)), kind: .symlink)
        entry.linkTarget = [UInt8](repeating: 0x62, count: Entry.pathLimit)
        entry.userName = [UInt8](repeating: 0x63, count: Entry.ownerNameLimit)
        entry.groupName = entry.userName
        entry.attributes = (0..<1_365).map { (index: Int) -> ExtendedAttribute in
            ExtendedAttribute(name: [UInt8(index % 255 + 1), UInt8(index / 255 + 1)], value: [1])
        }
        entry.unknownFields = [.init(tag: .max, value: [UInt8](repeating: 0, count: Entry.unknownFieldLimit - 20))]
        #expect(try encode([entry]).count < TreePage.lengthLimit - TreePage.targetLimit)
    }

    struct BadEntry: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout Entry) -> Void
    }

    static let bad: [BadEntry] = [
        .init(testDescription: "long path") {
            $0.path = EntryPath(unchecked: [UInt8](repeating: 0x61, count: Entry.pathLimit + 1))
        },
        .init(testDescription: "mode") { $0.mode = 0o10000 },
        .init(testDescription: "owner") { $0.groupName = [UInt8](repeating: 0x61, count: 1_025) },
        .init(testDescription: "nanoseconds") { $0.modified.nanoseconds = 1_000_000_000 },
        .init(testDescription: "birth nanoseconds") { $0.created = .init(seconds: 0, nanoseconds: .max) },
        .init(testDescription: "missing content") { $0.content = nil },
        .init(testDescription: "content of a directory") { $0.kind = .directory },
        .init(testDescription: "size of a directory") {
            $0.kind = .directory
            $0.content = nil
        },
        .init(testDescription: "size") { $0.size = 4 },
        .init(testDescription: "huge size") {
            $0.size = 1 << 63
            $0.content = .list(TreeFixtures.chunkID(1), height: 0)
        },
        .init(testDescription: "inline too long") {
            $0.size = 513
            $0.content = .inline([UInt8](repeating: 0, count: 513))
        },
        .init(testDescription: "extents that are one") { $0.content = .extents([.zero(length: 1), .zero(length: 2)]) },
        .init(testDescription: "empty extent") { $0.content = .extents([.zero(length: 0), .hole(length: 3)]) },
        .init(testDescription: "long chunk") {
            $0.size = 1 << 24
            $0.content = .extents([.data(TreeFixtures.chunkID(1), length: 1 << 24)])
        },
        .init(testDescription: "overflow") {
            $0.content = .extents([.zero(length: .max), .hole(length: .max), .zero(length: 5)])
        },
        .init(testDescription: "too many extents") {
            $0.size = 65
            $0.content = .extents([Extent](repeating: .data(TreeFixtures.chunkID(1), length: 1), count: 65))
        },
        .init(testDescription: "height") { $0.content = .list(TreeFixtures.chunkID(1), height: 16) },
        .init(testDescription: "negative height") { $0.content = .list(TreeFixtures.chunkID(1), height: -1) },
        .init(testDescription: "link target of a file") { $0.linkTarget = [1] },
        .init(testDescription: "symlink without target") {
            $0.kind = .symlink
            $0.size = 0
            $0.content = nil
        },
        .init(testDescription: "device of a file") { $0.device = .init(major: 1, minor: 1) },
        .init(testDescription: "attributes twice") {
            $0.attributes = [.init(name: [1], value: [])]
            $0.attributeBlob = TreeFixtures.chunkID(1)
        },
        .init(testDescription: "same attribute twice") {
            $0.attributes = [.init(name: [1], value: []), .init(name: [1], value: [2])]
        },
        .init(testDescription: "attribute without name") { $0.attributes = [.init(name: [], value: [])] },
        .init(testDescription: "long attributes") {
            $0.attributes = [.init(name: [1], value: [UInt8](repeating: 0, count: 4_096))]
        },
        .init(testDescription: "known tag") { $0.unknownFields = [.init(tag: 11, value: [])] },
        .init(testDescription: "tags out of order") {
            $0.unknownFields = [.init(tag: 13, value: []), .init(tag: 12, value: [])]
        },
    ]

    @Test(arguments: bad) func entryThatCannotBeStoredIsRefused(_ bad: BadEntry) throws {
        var entry = Entry(path: TreeFixtures.path("a/b"), kind: .file)
        entry.size = 3
        entry.content = .inline([1, 2, 3])
        var writer = LeafPageWriter()
        try writer.append(entry)
        bad.change(&entry)
        let error = #expect(throws: HawserError.self) { try writer.append(entry) }
        #expect(error?.code == .invalidArgument)
        #expect(writer.entryCount == 1)
    }

    @Test func lookUpFindsEntriesAndChildren() throws {
        let entries = TreeFixtures.files(100)
        let page = try TreePage(decoding: encode(entries), level: 0)
        #expect(page.entry(at: entries[7].path) == entries[7])
        #expect(page.entry(at: TreeFixtures.path("nothing")) == nil)
        #expect(page.children(overlapping: .all).isEmpty)
        #expect(page.child(covering: entries[0].path) == nil)

        let children = ["b", "d", "f"].map {
            TreeChild(first: TreeFixtures.path($0), id: TreeFixtures.chunkID(1), entryCount: 1, byteCount: 0)
        }
        let inner = try TreePage(decoding: InnerPageCoding.encode(children, level: 1), level: 1)
        #expect(inner.child(covering: TreeFixtures.path("a")) == nil)
        #expect(inner.child(covering: TreeFixtures.path("d")) == children[1])
        #expect(inner.child(covering: TreeFixtures.path("e")) == children[1])
        #expect(inner.child(covering: TreeFixtures.path("x/y")) == children[2])
        func overlapping(_ lower: String, _ upper: String?) -> [TreeChild] {
            Array(
                inner.children(
                    overlapping: PathRange(lower: TreeFixtures.path(lower), upper: upper.map(TreeFixtures.path))
                )
            )
        }
        #expect(overlapping("a", "b") == [])
        #expect(overlapping("a", "c") == [children[0]])
        #expect(overlapping("c", "d") == [children[0]])
        #expect(overlapping("c", "e") == [children[0], children[1]])
        #expect(overlapping("d", nil) == [children[1], children[2]])
        #expect(overlapping("z", nil) == [children[2]])
    }

    @Test func attributeBlobsSurviveTheRoundTrip() throws {
        let attributes: [ExtendedAttribute] = [
            .init(name: Array("user.b".utf8), value: [UInt8](repeating: 1, count: 60_000)),
            .init(name: Array("user.a".utf8), value: []),
        ]
        let bytes = try AttributeBlob.encode(attributes)
        #expect(try AttributeBlob.decode(bytes) == attributes.reversed())
        for length in 0..<40 {
            #expect(throws: HawserError.self) { try AttributeBlob.decode(Array(bytes[..<length])) }
        }
        #expect(throws: HawserError.self) { try AttributeBlob.decode(bytes + [0]) }
        #expect(throws: HawserError.self) { try AttributeBlob.encode([]) }
        #expect(throws: HawserError.self) { try AttributeBlob.encode([attributes[0], attributes[0]]) }
    }
}
