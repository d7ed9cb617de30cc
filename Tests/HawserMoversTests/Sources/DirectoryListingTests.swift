import Testing

@testable import HawserMovers

@Suite struct DirectoryListingTests {
    @Test func `names come in the order of their bytes`() throws {
        let tree = SourceTree()
        let names = [
            "a", "a ", "a!", "ab", "abcdefgh", "abcdefgh1", "abcdefgh10", "abcdefgh2", "abcdefg", "ä", "B", "~", ".x",
            "..y",
        ]
        for name in names { try tree.write(name, "") }
        let directory = try FileTreeSource(paths: [tree.root]).directory(at: tree.path(""))
        let readable = try DirectoryScan.open(Array(".".utf8), in: directory)
        let listing = try #require(try DirectoryListing(readable))
        let listed = (0..<listing.count).map { listing.name($0) }
        #expect(listed == names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        for (index, name) in listed.enumerated() { #expect(listing.index(of: name) == index) }
        #expect(listing.index(of: Array("abcdefgh3".utf8)) == nil)
        let again = try DirectoryScan.open(Array(".".utf8), in: directory)
        #expect(try DirectoryListing(again, limit: 3) == nil)
    }
}
