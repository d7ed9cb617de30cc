import Testing

@testable import HawserFormat

@Suite struct EntryPathTests {
    /// The rule in the plainest words: the root, then parents component by component, then names.
    private func modelPrecedes(_ left: EntryPath, _ right: EntryPath) -> Bool {
        if left.isRoot || right.isRoot { return left.isRoot && !right.isRoot }
        let (leftParent, rightParent) = (Array(left.components.dropLast()), Array(right.components.dropLast()))
        for (one, other) in zip(leftParent, rightParent) where one != other {
            return one.lexicographicallyPrecedes(other)
        }
        if leftParent.count != rightParent.count { return leftParent.count < rightParent.count }
        return left.name.lexicographicallyPrecedes(right.name)
    }

    @Test func orderIsThatOfTheModel() {
        var random = TreeFixtures.Generator(state: 1)
        let paths = (0..<120).map { _ in random.path() }
        for left in paths {
            for right in paths {
                #expect((left < right) == modelPrecedes(left, right), "\(left) \(right)")
            }
        }
    }

    @Test func directoriesAndSubtreesAreContiguous() {
        var random = TreeFixtures.Generator(state: 2)
        let paths = Set((0..<250).map { _ in random.path() }).sorted()
        for directory in Set(paths.compactMap(\.parent)) {
            let below = paths.indices.filter { directory.contains(paths[$0]) && paths[$0] != directory }
            #expect(below.last.map { $0 - below[0] + 1 } ?? 0 == below.count)
            let children = paths.indices.filter { paths[$0].parent == directory }
            #expect(children.last.map { $0 - children[0] + 1 } ?? 0 == children.count)
        }
    }

    @Test func knownOrder() {
        let order = ["", "a", "a-b", "b", "a/x", "a/y", "a/x/1", "a-b/c", "b/a", "b/b"]
        let paths = order.map(TreeFixtures.path)
        #expect(paths.shuffled().sorted() == paths)
    }

    @Test(arguments: ["a//b", "a/", "//", "a/./b", "..", "a/..", ".", "a\0", "\0/b"])
    func refuses(_ text: String) {
        #expect(EntryPath(Array(text.utf8)) == nil)
    }

    @Test(arguments: [("/", ""), ("", ""), ("/a/b", "a/b"), ("...", "..."), (".a/b.", ".a/b."), ("..a/a..", "..a/a..")])
    func parses(_ text: String, _ expected: String) {
        #expect(EntryPath(Array(text.utf8))?.bytes == Array(expected.utf8))
    }

    @Test func parsesBytesThatAreNotText() throws {
        let path = try #require(EntryPath([0xff, 0x2f, 0x80]))
        #expect(Array(path.name) == [0x80])
        #expect(path.parent?.bytes == [0xff])
        #expect(path.parent?.parent == .root)
        #expect(path.parent?.parent?.parent == nil)
        #expect(path.absoluteBytes == [0x2f, 0xff, 0x2f, 0x80])
        #expect(path.components.map(Array.init) == [[0xff], [0x80]])
    }

    @Test func containsItselfAndWhatLiesBelow() {
        let path = TreeFixtures.path("a/b")
        for inside in ["a/b", "a/b/c", "a/b/c/d"] { #expect(path.contains(TreeFixtures.path(inside))) }
        for outside in ["", "a", "a/bc", "a/b-c/d", "b/a/b"] { #expect(!path.contains(TreeFixtures.path(outside))) }
        #expect(EntryPath.root.contains(path))
        #expect(EntryPath.root.contains(.root))
    }

    @Test func appendingJoinsWithOneSlash() {
        #expect(EntryPath.root.appending(Array("a".utf8)).appending(Array("b".utf8)) == TreeFixtures.path("a/b"))
    }

    @Test func rangesHoldWhatTheySay() {
        var random = TreeFixtures.Generator(state: 3)
        let paths = (0..<80).map { _ in random.path() }
        for range in paths {
            let only = PathRange.only(range)
            let below = PathRange.below(range)
            let children = PathRange.children(of: range)
            for path in paths {
                #expect(only.contains(path) == (path == range))
                #expect(below.contains(path) == (path != range && range.contains(path)))
                #expect(children.contains(path) == (path.parent == range))
            }
        }
    }

    @Test func scopesJoinTheirRanges() {
        var random = TreeFixtures.Generator(state: 4)
        let paths = (0..<80).map { _ in random.path() }
        for _ in 0..<20 {
            let subtrees = paths.shuffled(using: &random).prefix(5).filter { !$0.isRoot }
            let scope = PathScope(subtrees: subtrees)
            let withAncestors = PathScope(subtrees: subtrees, ancestors: true)
            for path in paths {
                let inside = subtrees.contains { $0.contains(path) }
                #expect(scope.contains(path) == inside)
                #expect(withAncestors.contains(path) == (inside || subtrees.contains { path.contains($0) }))
            }
            for (left, right) in zip(scope.ranges, scope.ranges.dropFirst()) {
                #expect(left.upper.map { $0 < right.lower } == true)
            }
        }
    }
}
