import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct PathPatternTests {
    // The documented rules: restic's "Excluding Files" and Go's path.Match.
    @Test(arguments: [
        ("foo", "/dir1/foo/dir2/file", true), ("foo", "/dir/foo", true), ("foo", "/dir/foobar", false),
        ("foo", "/barfoo", false), ("foo/", "/dir/foo", true), ("/bin", "/bin/bash", true),
        ("/bin", "/usr/bin/restic", false), ("b*ash", "/bin/bash", true), ("b*ash", "/bin/ash", false),
        ("foo/**/bar", "/dir1/foo/dir2/bar/file", true), ("foo/**/bar", "/foo/bar/file", true),
        ("foo/**/bar", "/tmp/foo/bar", true), ("foo/**/bar", "/foo/x/y/z/bar", true), ("foo/**/bar", "/foo/x", false),
        ("foo/**/bar", "/bar/foo", false), ("*.go", "/a/b/c.go", true), ("*.go", "/a.go/b", true),
        ("*.c", "/a/b/c.go", false), ("**", "/a", true), ("/", "/a/b", true), ("/**/x", "/a/b/x", true),
        ("/a/**", "/a/b/c", true), ("/a/**", "/b/a/c", false), ("a/*/c", "/x/a/b/c/d", true), ("a/*/c", "/a/c", false),
        ("a/**/b/**/c", "/a/1/b/2/3/c", true), ("a/**/b/**/c", "/a/1/b/2/3/d", false),
        ("a/b", "/a/a/b", true), ("/home/*", "/home/u/x", true), ("/home/*", "/home", false),
        ("a//b/./c", "/a/b/c", true), ("a/x/../b", "/a/b", true),
        ("?", "/ä", true), ("?", "/ab", false), ("[a-c]x", "/bx", true), ("[^a-c]x", "/bx", false),
        ("[^a-c]x", "/dx", true), ("[ä-ü]", "/ö", true), ("a[\\]]", "/a]", true), ("\\*", "/*", true),
        ("\\*", "/x", false),
        ("a*b*c", "/axxbyybzc", true), ("a*b*c", "/axxbyybz", false), ("*", "/x", true), ("[z-a]", "/m", false),
        ("FOO", "/foo", false),
    ])
    func `matches as documented`(pattern: String, path: String, expected: Bool) throws {
        let path = try #require(EntryPath(Array(path.utf8)))
        #expect(try PathPattern(pattern.utf8).matches(path) == expected)
        if expected { #expect(try PathPattern(pattern.utf8).mayMatch(below: .root)) }
    }

    @Test(arguments: ["", "!", "[", "[]", "[a", "[a-", "[a-]", "[-a]", "a\\", "x/[^]"])
    func `malformed patterns are refused`(pattern: String) {
        #expect(throws: HawserError.self) { try PathPattern(pattern.utf8) }
    }

    @Test func `bytes that are not UTF-8 are one character each`() throws {
        let path = try #require(EntryPath([0x61, 0xff, 0x62]))
        #expect(try PathPattern("a?b".utf8).matches(path))
        #expect(try PathPattern([0x61, 0xff, 0x2a]).matches(path))
        #expect(try !PathPattern([0x61, 0xfe, 0x2a]).matches(path))
    }

    @Test func `case is ignored where asked for`() throws {
        let pattern = try PathPattern("ÄRGER*.JPG".utf8, ignoringCase: true)
        #expect(pattern.matches(try #require(EntryPath(Array("/x/ärger1.jpg".utf8)))))
        let invalid = try PathPattern([0x41, 0xff], ignoringCase: true)
        #expect(invalid.matches(try #require(EntryPath([0x61, 0xff]))))
    }

    @Test func `the last matching pattern of a list decides`() throws {
        let list = PathPatternList([
            try PathPattern("/home/u/*".utf8), try PathPattern("!/home/u/code".utf8), try PathPattern("*.o".utf8),
        ])
        let matches = { (path: String) in list.matches(EntryPath(Array(path.utf8)) ?? .root) }
        #expect(matches("/home/u/music"))
        #expect(!matches("/home/u/code/main.c"))
        #expect(matches("/home/u/code/main.o"))
        #expect(!matches("/home/u"))
        #expect(!PathPatternList().matches(.root))
    }

    @Test(arguments: [
        ("/a/b/c", "/a", true), ("/a/b/c", "/a/b", true), ("/a/b/c", "/x", false), ("/a/b/c", "/a/b/c/d", true),
        ("/a/**/c", "/a/x/y", true), ("/a/**/c", "/b", false), ("c", "/x/y", true), ("/a/*/c", "/a/x", true),
        ("/a/*/c", "/a/x/d", false),
    ])
    func `tells where looking is worth it`(pattern: String, directory: String, expected: Bool) throws {
        let directory = try #require(EntryPath(Array(directory.utf8)))
        #expect(try PathPattern(pattern.utf8).mayMatch(below: directory) == expected)
    }
}
