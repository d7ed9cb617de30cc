import HawserFormat
import Testing

@testable import HawserCommand

@Suite("The order of an archive")
struct ArchiveOrderTests {
    private func archive(_ entries: [(path: String, isFolder: Bool)]) throws -> [String] {
        var order = ArchiveOrder()
        var archive: [String] = []
        for (path, isFolder) in entries {
            let path = try #require(EntryPath(Array(path.utf8)))
            while let folder = order.next(before: path.parent) { archive.append(folder.path.description) }
            if isFolder {
                order.add(Entry(path: path, kind: .directory))
            } else {
                archive.append(path.description)
            }
        }
        while let folder = order.next(before: nil) { archive.append(folder.path.description) }
        return archive
    }

    @Test("What a folder holds follows it, whatever is empty or lies far above")
    func order() throws {
        // As snapshots have it: all that a folder holds, then what the folders in it hold.
        let found = try archive([
            ("/", true),
            ("/a", true), ("/b", true), ("/c", true), ("/file", false),
            ("/a/empty", true), ("/a/inner", true), ("/a/file", false),
            ("/a/inner/deep", true), ("/a/inner/void", true),
            ("/a/inner/deep/file", false),
            ("/c/file", false),
        ])
        #expect(
            found == [
                "/", "/file", "/a", "/a/file", "/a/empty", "/a/inner", "/a/inner/deep", "/a/inner/deep/file",
                "/a/inner/void", "/b", "/c", "/c/file",
            ]
        )
    }

    @Test("A part begins below the root, and an empty one is there")
    func part() throws {
        #expect(try archive([("/x/part", true)]) == ["/x/part"])
        #expect(
            try archive([("/x/part", true), ("/x/part/1", true), ("/x/part/2", false)]) == [
                "/x/part", "/x/part/2", "/x/part/1",
            ]
        )
    }
}
