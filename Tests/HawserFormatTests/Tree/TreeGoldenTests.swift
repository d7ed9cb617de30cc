import Testing

@testable import HawserFormat

/// The examples of `docs/format.md`, byte by byte.
@Suite struct TreeGoldenTests {
    static let entries: [Entry] = {
        var root = Entry(path: .root, kind: .directory)
        root.mode = 0o755
        root.userName = Array("root".utf8)
        root.groupName = Array("root".utf8)
        root.modified = Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789)
        root.changed = Timestamp(seconds: -1, nanoseconds: 999_999_999)
        root.inode = 2
        var directory = root
        directory.path = EntryPath(unchecked: Array("data".utf8))
        directory.attributes = [ExtendedAttribute(name: Array("user.a".utf8), value: [1])]
        var small = root
        small.path = EntryPath(unchecked: Array("data/a".utf8))
        small.kind = .file
        small.mode = 0o644
        small.userID = 1_000
        small.userName = []
        small.size = 3
        small.content = .inline([0x61, 0x62, 0x63])
        small.linkGroup = 300
        var sparse = small
        sparse.path = EntryPath(unchecked: Array("data/".utf8) + [0xff])
        sparse.linkGroup = nil
        sparse.size = 5 + 4_096 + (1 << 40)
        sparse.content = .extents([
            .data(TreeFixtures.chunkID(1), length: 5), .zero(length: 4_096), .hole(length: 1 << 40),
        ])
        sparse.created = Timestamp(seconds: 0)
        sparse.changedWhileRead = true
        sparse.unknownFields = [.init(tag: 200, value: [7])]
        return [root, directory, small, sparse]
    }()

    static let leaf =
        "010004020004726f6f740004726f6f74e807000004726f6f74eda10000000080c49fd50c15cd5b07"
        + "01ffc99a3b0200ed210464617461000080c49fd50c15cd5b0701ffc99a3b0201050a010675736572"
        + "2e610101a49104646174610161010380c49fd50c15cd5b0701ffc99a3b02020702ac020803616263"
        + "a41101ff0185a08080802080c49fd50c15cd5b0701ffc99a3b020401050000000000092c010546f8"
        + "ec5a439c92e1df8299e1a4432a7ee172d8496b5e33e0a35a7b67163371b502802003808080808020"
        + "0b00c8010107"

    static let inner =
        "0102020046f8ec5a439c92e1df8299e1a4432a7ee172d8496b5e33e0a35a7b67163371b580020003"
        + "612f6276be601065f3569392b6737387eb10ae72031aaec89efa40513025627f1f9a4201ffffffff"
        + "ffffffffff01"

    @Test func pageOfEntries() throws {
        let tree = try TreeFixtures.Tree(Self.entries)
        #expect(tree.blobs.map(\.bytes.hex) == [Self.leaf])
        #expect(try tree.read(TreeCursor(root: tree.root)).entries == Self.entries)
    }

    @Test func innerPage() throws {
        let children = [
            TreeChild(first: .root, id: TreeFixtures.chunkID(1), entryCount: 256, byteCount: 0),
            TreeChild(first: TreeFixtures.path("a/b"), id: TreeFixtures.chunkID(2), entryCount: 1, byteCount: .max),
        ]
        let bytes = InnerPageCoding.encode(children, level: 2)
        #expect(bytes.hex == Self.inner)
        #expect(try TreePage(decoding: bytes, level: 2).items == .children(children))
    }

    @Test func pathsThatEndPages() {
        let key = TreeKey(TreeFixtures.treeKey)
        let ending = (0..<2_000).filter { key.ends(level: 0, after: TreeFixtures.path("d/\($0)")) }
        #expect(ending == [81, 96, 453, 618, 711, 805, 855, 1079, 1224, 1488, 1569, 1693])
        let endingAbove = (0..<2_000).filter { key.ends(level: 1, after: TreeFixtures.path("d/\($0)")) }
        #expect(endingAbove == [121, 199, 248, 302, 580, 777, 1394, 1621, 1785, 1920])
    }

    @Test func rootOfManyEntries() throws {
        let tree = try TreeFixtures.Tree(TreeFixtures.files(20_000))
        #expect(tree.root.height == 1)
        #expect(tree.blobs.count == 77)
        #expect(tree.root.id.hex == "7a2e2ca133d4a10425a2915f4cd6512117d281788fad008cd5aa24ed6d990bef")
    }

    @Test func rootOfAContentList() throws {
        var builder = ContentListBuilder(id: TreeFixtures.id)
        var blobs = 0
        for number in 0..<10_000 {
            blobs += try builder.append(.data(TreeFixtures.chunkID(number), length: 1 << 20)).count
        }
        let (last, content) = builder.finish()
        #expect(blobs + last.count == 12)
        #expect(
            content
                == .list(
                    try #require(ChunkID(hex: "c3bbc90f2799f863288c3c1ae95d25d706f176fc5b1b353bec468a220b298b76")),
                    height: 1
                )
        )
    }
}
