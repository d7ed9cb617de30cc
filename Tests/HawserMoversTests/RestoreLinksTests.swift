import CHawser
import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct RestoreLinksTests {
    private func restore(_ entries: [Entry], _ tree: RestoreTree) throws -> [RestoreTree.LinkResult] {
        var links = RestoreLinks(tree)
        for entry in entries {
            let action = try tree.plan(entry)
            if try links.role(of: entry, action) == .content { try tree.file(entry, "content") }
        }
        var results: [RestoreTree.LinkResult] = []
        try links.forEachWaiting { try results.append(tree.makeHardLink($0, to: $1)) }
        try tree.finishDirectories()
        return results
    }

    private func linked(_ name: String, _ group: UInt64) -> Entry {
        var result = entry(name, size: 7)
        result.linkGroup = group
        return result
    }

    @Test func namesOfAGroupBecomeOneFile() throws {
        let folder = try RestoreFolder()
        let entries = [
            linked("a", 1), linked("b", 2), linked("c", 1), entry("e", size: 7), linked("d/f", 1), linked("d/g", 2),
        ]
        for wanted in [RestoreTree.LinkResult.linked, .linked] {
            #expect(try restore(entries, folder.tree()) == [wanted, wanted, wanted])
            #expect(folder.status("a")?.st_ino == folder.status("d/f")?.st_ino)
            #expect(folder.status("a")?.st_nlink == 3)
            #expect(folder.status("b")?.st_nlink == 2)
            #expect(folder.status("e")?.st_nlink == 1)
            #expect(folder.names() == ["a", "b", "c", "d", "e"])
            #expect(folder.names("d") == ["f", "g"])
        }
        // Everything is right already: nothing changes.
        #expect(try restore(entries, folder.tree { $0.overwrite = .ifChanged }) == [.kept, .kept, .kept])
    }

    @Test func aKeptFileIsNotTheFirstOfItsGroup() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree { $0.overwrite = .never }
        folder.write("mine", "a")
        #expect(try restore([linked("a", 1), linked("b", 1), linked("c", 1)], tree) == [.linked])
        #expect(folder.read("a") == "mine")
        #expect(folder.read("b") == "content")
        #expect(folder.status("b")?.st_ino == folder.status("c")?.st_ino)
    }

    @Test func aFirstNameThatWasNotRestoredMakesTheNextNeedItsContent() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        #expect(try tree.makeHardLink(path("b"), to: path("gone")) == .needsContent)
        #expect(try tree.makeHardLink(path("b"), to: path("gone/too")) == .needsContent)
        try tree.folder("d")
        #expect(try tree.makeHardLink(path("b"), to: path("d")) == .needsContent)
        #expect(folder.names() == ["d"])
    }

    @Test(.enabled(if: geteuid() == 0, "Mounting needs root."))
    func anotherFileSystemNeedsTheContentAgain() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        try tree.file("a", "content")
        mkdir(folder.target + "/m", 0o755)
        guard folder.mount("tmpfs", on: "m", "tmpfs", 0, "size=1m") else {
            return withKnownIssue("No mounts here.") { Issue.record() }
        }
        #expect(try tree.makeHardLink(path("m/b"), to: path("a")) == .needsContent)
    }

    @Test(.enabled(if: geteuid() == 0, "Inode flags need root."))
    func immutableFilesGetTheirLinksFirst() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        var entries = [linked("a", 1), linked("b", 1)]
        for index in entries.indices { entries[index].inodeFlags = 0x10 }
        #expect(try restore(entries, tree) == [.linked])
        #expect(try tree.differences(from: entries[1]) == [] || !tree.warnings.isEmpty)
        #expect(folder.problems.all.isEmpty)
        let descriptor = open(folder.target + "/a", O_RDONLY)
        #expect(hawser_restore_set_flags(descriptor, 0x8_0000) == 0 || hawser_restore_set_flags(descriptor, 0) == 0)
        close(descriptor)
    }

    @Test func manyGroupsGoOnInAFile() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        var links = RestoreLinks(tree)
        let count: UInt64 = 60_000
        let prefix = String(repeating: "long/", count: 8)
        for group in 0..<count {
            #expect(try links.role(of: linked(prefix + "a\(group)", group), .created) == .content)
        }
        for group in (0..<count).reversed() {
            #expect(try links.role(of: linked(prefix + "b\(group)", group), .created) == .link)
        }
        var next = count
        var areRight = true
        try links.forEachWaiting { name, first in
            next -= 1
            areRight = areRight && name == path(prefix + "b\(next)") && first == path(prefix + "a\(next)")
        }
        #expect(next == 0)
        #expect(areRight)
        #expect(folder.names() == [])
    }
}
