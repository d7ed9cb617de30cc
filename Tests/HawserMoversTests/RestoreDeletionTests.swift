import CHawser
import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct RestoreDeletionTests {
    /// Restores `snapshot` (directories end in `/`), which is in the order of entries, and deletes the rest.
    private func restore(
        _ snapshot: [String],
        _ folder: RestoreFolder,
        sources: [EntryPath] = [.root],
        nameLimit: Int = 1000,
        dryRun: Bool = false
    ) throws -> [String] {
        let tree = try folder.tree {
            $0.deletes = true
            $0.dryRun = dryRun
        }
        var deleted: [String] = []
        var deletion = RestoreDeletion(tree, sources: sources, nameLimit: nameLimit) { deleted.append($0.description) }
        deletion.visit(.root, .updated)
        for name in snapshot {
            if name.hasSuffix("/") {
                let name = String(name.dropLast())
                deletion.visit(path(name), try tree.folder(name))
            } else {
                try tree.file(name, "new")
                deletion.visit(path(name), nil)
            }
        }
        deletion.finish()
        try tree.finishDirectories()
        return deleted.sorted()
    }

    private func fill(_ folder: RestoreFolder, _ names: [String]) {
        mkdir(folder.target, 0o755)
        for name in names {
            if name.hasSuffix("/") { mkdir(folder.target + "/" + name, 0o755) } else { folder.write("old", name) }
        }
    }

    private static let snapshot = ["a/", "b/", "c/", "f", "a/e/", "a/x", "a/y", "c/n/", "c/z", "c/n/1"]
    private static let existing = [
        "a/", "b/", "c/", "d/", "g", "a/e/", "a/x", "a/zz", "a/0", "a/e/old", "b/old", "b/sub/", "b/sub/old", "d/old",
        "c/old/",
    ]

    @Test(arguments: [1, 2, 1000])
    func whatTheSnapshotDoesNotHaveIsRemoved(nameLimit: Int) throws {
        let folder = try RestoreFolder()
        fill(folder, Self.existing)
        let wanted = ["/a/0", "/a/e/old", "/a/zz", "/b/old", "/b/sub", "/c/old", "/d", "/g"]
        #expect(try restore(Self.snapshot, folder, nameLimit: nameLimit, dryRun: true) == wanted)
        #expect(folder.names() == ["a", "b", "c", "d", "g"])
        #expect(try restore(Self.snapshot, folder, nameLimit: nameLimit) == wanted)
        #expect(folder.names() == ["a", "b", "c", "f"])
        #expect(folder.names("a") == ["e", "x", "y"])
        #expect(folder.names("a/e") == [])
        #expect(folder.names("b") == [])
        #expect(folder.names("c") == ["n", "z"])
        #expect(folder.problems.all.isEmpty)
    }

    @Test func directoriesAboveTheSourcesAreLeftAlone() throws {
        let folder = try RestoreFolder()
        fill(folder, ["home/", "etc/", "home/me/", "home/you/", "home/me/old"])
        let deleted = try restore(["home/", "home/me/", "home/me/f"], folder, sources: [path("home/me")])
        #expect(deleted == ["/home/me/old"])
        #expect(folder.names() == ["etc", "home"])
        #expect(folder.names("home") == ["me", "you"])
    }

    @Test func anEmptySourceEmptiesItsDirectory() throws {
        let folder = try RestoreFolder()
        fill(folder, ["old", "d/", "d/old"])
        #expect(try restore([], folder) == ["/d", "/old"])
        #expect(folder.names() == [])
    }

    @Test func withoutTheOptionNothingIsRemoved() throws {
        let folder = try RestoreFolder()
        fill(folder, ["old"])
        var deletion = RestoreDeletion(try folder.tree(), sources: [.root]) { _ in Issue.record() }
        deletion.visit(.root, .updated)
        deletion.finish()
        #expect(folder.names() == ["old"])
    }

    @Test func removalFollowsNoSymlinkAndReachesAnyDepth() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        folder.write("keep", "victim", in: folder.outside)
        var deep = EntryPath.root
        for level in 0..<200 {
            deep = deep.appending(Array("level-with-a-long-name-\(level)".utf8))
            _ = try tree.makeDirectory(entry(deep, .directory))
            for index in 0..<3 {
                _ = try tree.makeDirectory(entry(deep.appending(Array("s\(index)".utf8)), .directory))
            }
            var link = entry(deep.appending(Array("link".utf8)), .symlink)
            link.linkTarget = Array(folder.outside.utf8)
            _ = try tree.makeSymlink(link)
        }
        for index in 0..<600 { try tree.folder("level-with-a-long-name-0/many\(index)") }
        #expect(try restore([], folder) == ["/level-with-a-long-name-0"])
        #expect(folder.names() == [])
        #expect(folder.read("victim", in: folder.outside) == "keep")
    }

    @Test(.enabled(if: geteuid() == 0, "Mounting needs root."))
    func removalDoesNotEnterMounts() throws {
        let folder = try RestoreFolder()
        fill(folder, ["a/", "a/mount/"])
        folder.write("keep", "victim", in: folder.outside)
        // The same file system, so that only the mount tells.
        guard folder.mount(folder.outside, on: "a/mount", nil, UInt(MS_BIND)) else {
            return withKnownIssue("No mounts here.") { Issue.record() }
        }
        #expect(try restore([], folder) == [])
        #expect(folder.problems.all.count == 1)
        #expect(folder.read("victim", in: folder.outside) == "keep")
    }
}
