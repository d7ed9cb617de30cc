import Testing

@testable import HawserFormat

@Suite struct TreeBuilderTests {
    typealias Tree = TreeFixtures.Tree

    @Test func emptyTreeHasARoot() throws {
        let tree = try Tree([])
        #expect(tree.root.height == 0)
        #expect(tree.root.entryCount == 0)
        #expect(tree.blobs.map(\.bytes) == [[1, 0, 0, 0]])
        #expect(try tree.read(TreeCursor(root: tree.root)).entries.isEmpty)
    }

    @Test func pagesHoldTheEntries() throws {
        let (entries, tree) = (TreeFixtures.manyFiles, TreeFixtures.largeTree)
        #expect(try tree.read(TreeCursor(root: tree.root)).entries == entries)
        #expect(tree.root.height == 1 || tree.root.height == 2)
        #expect(tree.root.entryCount == 5_000)
        #expect(tree.root.byteCount == 5_000 << 20)
        let leaves = tree.blobs.filter { $0.bytes[1] == 0 }.count
        #expect((10...40).contains(leaves))
        #expect(tree.blobs.count == tree.pages.count)
        #expect(tree.blobs.allSatisfy { $0.type == .treePage && $0.bytes.count <= TreePage.lengthLimit })
    }

    @Test(arguments: [0, 1_700, 4_999]) func oneChangeTouchesOnlyTheWayToTheRoot(_ index: Int) throws {
        let (entries, before) = (TreeFixtures.manyFiles, TreeFixtures.largeTree)
        var changed = entries
        changed[index].inode += 1
        let after = try Tree(changed)
        let newPages = after.pages.keys.filter { before.pages[$0] == nil }.count
        #expect(newPages == after.root.height + 1)

        var inserted = entries
        inserted.insert(TreeFixtures.files(1)[0], at: index)
        inserted[index].path = EntryPath(unchecked: entries[index].path.bytes.dropLast(3) + [0x21])
        inserted.sort { $0.path < $1.path }
        let grown = try Tree(inserted)
        #expect(grown.pages.keys.filter { before.pages[$0] == nil }.count <= 2 * (grown.root.height + 1))

        changed = entries
        changed.remove(at: index)
        let shrunk = try Tree(changed)
        #expect(shrunk.pages.keys.filter { before.pages[$0] == nil }.count <= 2 * (shrunk.root.height + 1))
    }

    @Test func finishingACheckpointLeavesTheBuilderAsItWas() throws {
        let entries = TreeFixtures.files(2_000)
        var builder = TreeBuilder(treeKey: TreeFixtures.treeKey, id: TreeFixtures.id)
        for (index, entry) in entries.enumerated() {
            _ = try builder.append(entry)
            if index.isMultiple(of: 500) {
                let prefix = try Tree(Array(entries[...index]))
                #expect(builder.finish().root == prefix.root)
            }
        }
        #expect(try builder.finish().root == Tree(entries).root)
        #expect(builder.finish().root == builder.finish().root)
    }

    @Test func largeEntriesEndPagesAtTheLimit() throws {
        var random = TreeFixtures.Generator(state: 10)
        let entries = TreeFixtures.files(1_000).map { entry in
            var entry = entry
            let extents = (0..<Entry.extentLimit).map { _ in Extent.data(ChunkID(random.bytes(32))!, length: 1 << 20) }
            entry.size = UInt64(Entry.extentLimit) << 20
            entry.content = .extents(extents)
            return entry
        }
        let tree = try Tree(entries)
        #expect(tree.blobs.filter { $0.bytes.count >= TreePage.targetLimit }.count > 5)
        #expect(tree.blobs.allSatisfy { $0.bytes.count <= TreePage.targetLimit + 4_096 })
        #expect(try tree.read(TreeCursor(root: tree.root)).entries == entries)
    }

    @Test func manyOwnersCountTowardsTheLimit() throws {
        let entries = TreeFixtures.files(3_000).map { entry in
            var entry = entry
            entry.userName = [UInt8](repeating: 0x61, count: 1_000) + Array(String(entry.inode).utf8)
            return entry
        }
        let tree = try Tree(entries)
        #expect(tree.blobs.allSatisfy { $0.bytes.count <= TreePage.targetLimit + 4_096 })
        #expect(try tree.read(TreeCursor(root: tree.root)).entries == entries)
    }

    @Test func rootNeverHasOneChildAndInnerPagesHaveTwo() throws {
        // Over many sizes, so that every way of ending is met.
        let entries = TreeFixtures.files(300)
        for count in stride(from: 1, to: 300, by: 7) {
            for seed in 0..<2 {
                let tree = try Tree(Array(entries[..<count]), key: [UInt8](repeating: UInt8(seed), count: 32), mask: 7)
                let root = try tree.page(PageReference(root: tree.root))
                if case .children(let children) = root.items { #expect(children.count > 1) }
                #expect(try tree.read(TreeCursor(root: tree.root)).pages == tree.blobs.count)
            }
        }
    }

    @Test func refusesEntriesOutOfOrderAndGoesOn() throws {
        let entries = TreeFixtures.files(10)
        var builder = TreeBuilder(treeKey: TreeFixtures.treeKey, id: TreeFixtures.id)
        for entry in entries[..<5] { _ = try builder.append(entry) }
        #expect(throws: HawserError.self) { try builder.append(entries[4]) }
        #expect(throws: HawserError.self) { try builder.append(entries[0]) }
        var bad = entries[5]
        bad.mode = .max
        #expect(throws: HawserError.self) { try builder.append(bad) }
        for entry in entries[5...] { _ = try builder.append(entry) }
        #expect(try builder.finish().root == Tree(entries).root)
    }

    @Test func sumsOfSizesStopAtTheMaximum() throws {
        let entries = (1...3).map { number in
            var entry = Entry(path: TreeFixtures.path("\(number)"), kind: .file)
            entry.size = UInt64(Int64.max)
            entry.content = .extents([.hole(length: .max)])
            return entry
        }
        let tree = try Tree(entries)
        #expect(tree.root.byteCount == .max)
        #expect(try tree.read(TreeCursor(root: tree.root)).entries == entries)
    }
}
