import Testing

@testable import HawserFormat

@Suite struct TreeCursorTests {
    typealias Tree = TreeFixtures.Tree

    /// A tall tree of random directories, nested and with names of any bytes.
    private func deepTree(_ seed: UInt64, count: Int = 3_000) throws -> (Tree, [Entry]) {
        var random = TreeFixtures.Generator(state: seed)
        let paths = Set((0..<count).map { _ in random.path() }).sorted()
        let entries = paths.map { Entry(path: $0, kind: .directory) }
        return (try Tree(entries, mask: 3), entries)
    }

    @Test func seekBeginsAtThePath() throws {
        let (tree, entries) = try deepTree(11)
        var random = TreeFixtures.Generator(state: 12)
        for _ in 0..<30 {
            let start = random.path()
            var cursor = TreeCursor(root: tree.root)
            cursor.seek(to: start)
            #expect(tree.root.height > 3)
            let (found, _) = try tree.read(cursor)
            #expect(found == entries.filter { start <= $0.path })
        }
    }

    @Test func seekInTheMiddleGoesForwardOnly() throws {
        let entries = TreeFixtures.files(5_000)
        let tree = try Tree(entries)
        var cursor = TreeCursor(root: tree.root)
        var found: [Entry] = []
        var pages = 0
        while found.count < 20 {
            switch cursor.next() {
            case .entry(let entry):
                found.append(entry)
                cursor.seek(to: entries[found.count * 200].path)
                cursor.seek(to: entries[0].path)
            case .needsPage(let reference):
                pages += 1
                try cursor.supply(tree.page(reference))
            case .end: return
            }
        }
        #expect(found == (0..<20).map { entries[$0 * 200] })
        #expect(pages <= 20 + tree.root.height * 2)
        cursor.seek(to: EntryPath(unchecked: [0xff]))
        #expect(try tree.read(cursor).entries.isEmpty || cursor.position != .end)
    }

    @Test func scopeGivesItsEntriesAndSkipsPages() throws {
        let (tree, entries) = try deepTree(13)
        var random = TreeFixtures.Generator(state: 14)
        for _ in 0..<30 {
            let subtrees = (0..<3).map { _ in entries.randomElement(using: &random)?.path ?? .root }.filter {
                !$0.isRoot
            }
            let (found, _) = try tree.read(TreeCursor(root: tree.root, scope: PathScope(subtrees: subtrees)))
            #expect(found == entries.filter { entry in subtrees.contains { $0.contains(entry.path) } })
        }
        let large = TreeFixtures.largeTree
        let scope = PathScope(subtrees: [TreeFixtures.path("home/d77"), TreeFixtures.path("home/d100/file-4001.txt")])
        let (found, pages) = try large.read(TreeCursor(root: large.root, scope: scope))
        #expect(found.count == 41)
        #expect(pages <= 8)
        #expect(try large.read(TreeCursor(root: large.root, scope: PathScope([]))).pages == 0)
    }

    @Test func upcomingPagesAreThoseThatAreAskedFor() throws {
        let tree = TreeFixtures.largeTree
        let subtrees = (0..<125).filter { $0.isMultiple(of: 3) }.map { TreeFixtures.path("home/d\($0)") }
        for scope in [PathScope.all, PathScope(subtrees: subtrees)] {
            var cursor = TreeCursor(root: tree.root, scope: scope)
            var expected: [PageReference] = []
            while true {
                let step = cursor.next()
                if case .end = step { break }
                let upcoming = cursor.upcoming(3)
                #expect(upcoming.count <= 3)
                guard case .needsPage(let reference) = step else { continue }
                #expect(upcoming.first == reference)
                // What was announced at the same level is what comes.
                if reference.level == 0, !expected.isEmpty { #expect(expected.first == reference) }
                try cursor.supply(tree.page(reference))
                expected = reference.level == 0 ? Array(upcoming.dropFirst().filter { $0.level == 0 }) : []
            }
        }
    }

    @Test func wrongPagesAreRefusedAndCanBeSkipped() throws {
        let entries = TreeFixtures.files(5_000)
        let tree = try Tree(entries)
        var cursor = TreeCursor(root: tree.root)
        let root = try tree.page(PageReference(root: tree.root))
        guard case .children(let children) = root.items else { return }
        try cursor.supply(root)
        // A page that names itself, or its parent, is of the wrong level.
        #expect(throws: HawserError.self) { try cursor.supply(root) }
        // A page of the right level at the wrong place.
        let other = try tree.page(PageReference(children[1], level: 0))
        #expect(throws: HawserError.self) { try cursor.supply(other) }
        cursor.advance()
        try cursor.supply(other)
        #expect(throws: HawserError.self) { try cursor.supply(other) }
        #expect(try tree.read(cursor).entries == Array(entries.dropFirst(Int(children[0].entryCount))))
    }

    @Test func pagesOutOfOrderAreDamaged() throws {
        let entries = TreeFixtures.files(10)
        func leaf(_ entries: ArraySlice<Entry>) throws -> TreeBlob {
            var writer = LeafPageWriter()
            for entry in entries { try writer.append(entry) }
            let bytes = writer.finish()
            return TreeBlob(id: bytes.withUnsafeBytes { TreeFixtures.id($0, .treePage) }, type: .treePage, bytes: bytes)
        }
        // The first page reaches beyond the beginning of the second.
        let pages = [try leaf(entries[..<7]), try leaf(entries[5...])]
        let children = [
            TreeChild(first: entries[0].path, id: pages[0].id, entryCount: 7, byteCount: 7 << 20),
            TreeChild(first: entries[5].path, id: pages[1].id, entryCount: 5, byteCount: 5 << 20),
        ]
        let root = try TreePage(decoding: InnerPageCoding.encode(children, level: 1), level: 1)
        var cursor = TreeCursor(
            root: TreeRoot(id: TreeFixtures.chunkID(0), height: 1, entryCount: 12, byteCount: 12 << 20)
        )
        try cursor.supply(root)
        #expect(throws: HawserError.self) { try cursor.supply(TreePage(decoding: pages[0].bytes, level: 0)) }
    }

    @Test func impossibleHeightsEndAtOnce() {
        for height in [-1, 32, Int.max] {
            let root = TreeRoot(id: TreeFixtures.chunkID(0), height: height, entryCount: 1, byteCount: 0)
            var cursor = TreeCursor(root: root)
            #expect(cursor.next() == .end)
        }
    }
}

@Suite struct TreeDiffTests {
    typealias Tree = TreeFixtures.Tree

    private func compare(_ old: Tree, _ new: Tree, scope: PathScope = .all) throws -> (
        changes: [TreeDiff.Change], pages: Int
    ) {
        var diff = TreeDiff(old: old.root, new: new.root, scope: scope)
        var changes: [TreeDiff.Change] = []
        var pages = 0
        while true {
            switch diff.next() {
            case .change(let change): changes.append(change)
            case .needsPage(let side, let reference):
                pages += 1
                #expect(diff.upcoming(1000).contains { $0.side == side && $0.page == reference })
                try diff.supply((side == .old ? old : new).page(reference), to: side)
            case .end: return (changes, pages)
            }
        }
    }

    @Test func equalTreesNeedNoPage() throws {
        let tree = try Tree(TreeFixtures.files(5_000))
        let (changes, pages) = try compare(tree, tree)
        #expect(changes.isEmpty)
        #expect(pages == 0)
    }

    @Test func fewChangesNeedFewPages() throws {
        let entries = TreeFixtures.manyFiles
        var changed = entries
        changed[1_200].inode += 1
        let removed = changed.remove(at: 2_500)
        var added = entries[3_700]
        added.path = EntryPath(unchecked: added.path.bytes + [0x21])
        changed.insert(added, at: 3_700)
        let (old, new) = (TreeFixtures.largeTree, try Tree(changed))
        let (changes, pages) = try compare(old, new)
        #expect(Set(changes) == [.changed(old: entries[1_200], new: changed[1_200]), .removed(removed), .added(added)])
        #expect(pages <= 24)
        #expect(try compare(old, new, scope: PathScope(subtrees: [entries[1_200].path])).changes.count == 1)
    }

    @Test func treesOfDifferentHeightCompare() throws {
        let entries = TreeFixtures.files(1_000)
        let all = try Tree(entries, mask: 7)
        for count in [0, 1, 2, 20, 500, 999] {
            let part = try Tree(Array(entries[..<count]), mask: 7)
            #expect(try compare(part, all).changes == entries[count...].map { .added($0) })
            #expect(try compare(all, part).changes == entries[count...].map { .removed($0) })
        }
    }

    @Test(arguments: 0..<8) func changesAreThoseOfTheModel(_ seed: UInt64) throws {
        var random = TreeFixtures.Generator(state: 1_000 + seed)
        let paths = Set((0..<1_500).map { _ in random.path() }).sorted()
        var (old, new): ([Entry], [Entry]) = ([], [])
        var expected: [TreeDiff.Change] = []
        for path in paths {
            let before = Entry(path: path, kind: .directory)
            var after = before
            after.inode = 1
            switch Int.random(in: 0..<40, using: &random) {
            case 0:
                old.append(before)
                expected.append(.removed(before))
            case 1:
                new.append(after)
                expected.append(.added(after))
            case 2:
                old.append(before)
                new.append(after)
                expected.append(.changed(old: before, new: after))
            default:
                old.append(before)
                new.append(before)
            }
        }
        #expect(try compare(Tree(old, mask: 3), Tree(new, mask: 3)).changes == expected)
    }

    @Test func damagedPageCanBeLeftOut() throws {
        let entries = TreeFixtures.files(3_000)
        var changed = entries
        changed[0].inode += 9_999
        let (old, new) = (try Tree(entries), try Tree(changed))
        var diff = TreeDiff(old: old.root, new: new.root)
        var changes: [TreeDiff.Change] = []
        loop: while true {
            switch diff.next() {
            case .change(let change): changes.append(change)
            case .needsPage(.old, let reference) where reference.level == 0: diff.skipPage(of: .old)
            case .needsPage(let side, let reference):
                try diff.supply((side == .old ? old : new).page(reference), to: side)
            case .end: break loop
            }
        }
        #expect(!changes.isEmpty)
        #expect(changes.allSatisfy { if case .added = $0 { true } else { false } })
    }
}
