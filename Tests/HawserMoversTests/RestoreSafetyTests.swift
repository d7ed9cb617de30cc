import CHawser
import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct RestoreSafetyTests {
    @Test func aParentThatBecomesASymlinkIsNotFollowed() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        try tree.folder("a")
        try tree.folder("a/b")
        rename(folder.target + "/a/b", folder.target + "/a/moved")
        symlink(folder.outside, folder.target + "/a/b")
        // With the directory still open, its files follow it; they don't go outside.
        try tree.file("a/b/one", "1")
        #expect(folder.read("a/moved/one") == "1")
        tree.cache.removeAll()
        #expect(code { try tree.file("a/b/two", "2") } == .conflict)
        #expect(code { try tree.folder("a/b/three") } == .conflict)
        #expect(code { _ = try tree.makeFile(entry("a/b/four", size: 1)) } == .conflict)
        #expect(code { _ = try tree.makeHardLink(path("a/b/five"), to: path("a/moved/one")) } == .conflict)
        #expect(code { _ = try tree.openFile(path("a/b/x")) } == .conflict)
        try tree.finishDirectories()
        #expect(folder.problems.codes == [.conflict])
        #expect(folder.names("../outside") == [])
    }

    @Test func aDirectoryThatIsExchangedGetsNoMetadata() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        var directory = entry("d", .directory)
        directory.mode = 0o777
        _ = try tree.makeDirectory(directory)
        rename(folder.target + "/d", folder.target + "/old")
        mkdir(folder.target + "/d", 0o700)
        tree.cache.removeAll()
        try tree.finishDirectories()
        #expect(folder.mode("d") == 0o700)
        #expect(folder.problems.codes == [.conflict])
    }

    @Test func aSymlinkInThePlaceOfADirectoryIsReplaced() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        symlink(folder.outside, folder.target + "/d")
        #expect(try tree.folder("d") == .replaced)
        try tree.file("d/f", "x")
        #expect(folder.names("../outside") == [])
        #expect(folder.names("d") == ["f"])
    }

    @Test func aSymlinkInThePlaceOfADirectoryIsRefusedUnderNever() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree { $0.overwrite = .never }
        symlink(folder.outside, folder.target + "/d")
        #expect(code { try tree.folder("d") } == .conflict)
        #expect(code { try tree.file("d/f", "x") } == .conflict)
        #expect(folder.names("../outside") == [])
    }

    @Test func aSymlinkInThePlaceOfAFileIsReplacedAndNotWrittenThrough() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        folder.write("secret", "victim", in: folder.outside)
        for name in ["small", "large", "dangling"] {
            symlink(folder.outside + (name == "dangling" ? "/nothing" : "/victim"), folder.target + "/" + name)
        }
        #expect(try tree.file("small", "1") == .replaced)
        #expect(try tree.file("dangling", "2") == .replaced)
        let file = try begun(tree.makeFile(entry("large", size: 1)))
        try [UInt8(51)].withUnsafeBytes { try file.write($0, at: 0) }
        try file.finish()
        #expect(folder.read("small") == "1")
        #expect(folder.read("large") == "3")
        #expect(folder.read("victim", in: folder.outside) == "secret")
        #expect(folder.names("../outside") == ["victim"])
    }

    @Test(arguments: RestoreOptions.Overwrite.allCases)
    func aHardLinkToAFileOutsideIsNeverChanged(policy: RestoreOptions.Overwrite) throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree { $0.overwrite = policy }
        folder.write("same", "victim", in: folder.outside, mode: 0o600)
        hawser_restore_set_modified(AT_FDCWD, folder.outside + "/victim", 1_600_000_000, 123_456_789)
        link(folder.outside + "/victim", folder.target + "/f")
        var file = entry("f", mode: 0o4777)
        file.userID = geteuid() == 0 ? 99 : geteuid()
        try tree.file(file, "same")
        var victim = stat()
        stat(folder.outside + "/victim", &victim)
        #expect(victim.st_mode & 0o7777 == 0o600)
        #expect(victim.st_uid == geteuid())
        #expect(folder.read("victim", in: folder.outside) == "same")
    }

    @Test func theLinkOfAHardLinkIsNotFollowed() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        folder.write("secret", "victim", in: folder.outside)
        symlink(folder.outside + "/victim", folder.target + "/first")
        _ = try tree.makeHardLink(path("second"), to: path("first"))
        #expect((folder.status("second")?.st_mode ?? 0) & S_IFMT == S_IFLNK)
        var victim = stat()
        stat(folder.outside + "/victim", &victim)
        #expect(victim.st_nlink == 1)
    }

    @Test func aNameThatIsTakenDuringTheRestoreIsLeftAlone() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        let file = try begun(tree.makeFile(entry("f", size: 0)))
        folder.write("other", "f")
        #expect(code { try file.finish() } == .conflict)
        #expect(folder.read("f") == "other")
        #expect(folder.names() == ["f"])
    }

    @Test func nothingIsLeftOfAFileThatIsNotFinished() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        folder.write("old", "f")
        for name in ["f", "new"] {
            let file = try begun(tree.makeFile(entry(name, size: 10)))
            try [UInt8](repeating: 1, count: 5).withUnsafeBytes { try file.write($0, at: 0) }
        }
        #expect(folder.names() == ["f"])
        #expect(folder.read("f") == "old")
    }

    @Test func impossibleEntriesAreRefused() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree()
        #expect(code { _ = try tree.makeFile(entry("d", .directory)) } == .invalidArgument)
        #expect(code { _ = try tree.makeDirectory(entry("f")) } == .invalidArgument)
        #expect(code { _ = try tree.makeSymlink(entry("l", .symlink)) } == .damaged)
        #expect(code { _ = try tree.makeSpecial(entry("c", .characterDevice)) } == .damaged)
        #expect(code { _ = try tree.makeSpecial(entry("f")) } == .damaged)
        #expect(code { try tree.file(entry(EntryPath.root), "") } == .invalidArgument)
        var huge = entry("huge")
        huge.size = .max
        #expect(code { _ = try tree.makeFile(huge) } == .invalidArgument)
        huge.size = UInt64(Int64.max)
        #expect(code { _ = try tree.makeFile(huge) } == .fileSystem)
        #expect(
            code { _ = try [UInt8(1)].withUnsafeBytes { try tree.writeFile(entry("short", size: 2), $0) } } == .damaged
        )
        #expect(folder.names() == [])
    }
}
