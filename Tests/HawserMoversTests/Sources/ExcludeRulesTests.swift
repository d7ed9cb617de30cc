import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct ExcludeRulesTests {
    private func names(_ tree: SourceTree, _ rules: ExcludeRules) async throws -> [String] {
        try await FileTreeSource(paths: [tree.root], options: .init(excludes: rules)).walked().names(in: tree)
    }

    @Test func `excluded directories are not entered`() async throws {
        let tree = SourceTree()
        try tree.shell("mkdir -p a/cache b; touch a/cache/x a/y.o b/z b/keep.o; chmod 000 a/cache")
        var patterns = PathPatternList()
        try patterns.append(lines: "# comment\n\n cache \n*.o\r\n!keep.o".utf8)
        let rules = ExcludeRules(patterns: patterns)
        #expect(try await names(tree, rules) == ["a", "b", "b/keep.o", "b/z"])
    }

    @Test func `a cache directory keeps itself and its tag`() async throws {
        let tree = SourceTree()
        try tree.shell(
            """
            mkdir -p c/sub n; touch c/x c/sub/y n/x
            printf 'Signature: 8a477f597d28d172789f06886806bc55\\n# more' > c/CACHEDIR.TAG; printf 'Signature: 8a' > n/CACHEDIR.TAG
            """
        )
        let kept = try await names(tree, ExcludeRules(markers: [.cacheDirectory]))
        #expect(kept == ["c", "n", "c/CACHEDIR.TAG", "n/CACHEDIR.TAG", "n/x"])
    }

    @Test func `markers with and without a header`() async throws {
        let tree = SourceTree()
        try tree.shell(
            "mkdir a b; touch a/.nobackup a/x b/x; printf 'yes: really' > b/.mark; mkdir c; printf no > c/.mark"
        )
        let rules = ExcludeRules(markers: [try .init(".nobackup".utf8), try .init(".mark:yes: r".utf8)])
        #expect(try await names(tree, rules) == ["a", "b", "c", "a/.nobackup", "b/.mark", "c/.mark"])
        #expect(throws: HawserError.self) { try ExcludeRules.Marker(":x".utf8) }
    }

    @Test func `files above a size are left out, exactly that size stays`() async throws {
        let tree = SourceTree()
        try tree.shell("truncate -s 100 a; truncate -s 101 b; mkdir c")
        #expect(try await names(tree, ExcludeRules(largestFile: 100)) == ["a", "c"])
    }
}
