import CHawser
import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct RestorePolicyTests {
    enum Existing: CaseIterable {
        case same, sameOtherMode, older, newer, fullDirectory, emptyDirectory, unfinished
    }

    static let expected: [RestoreOptions.Overwrite: [Existing: RestoreAction?]] = [
        .always: [
            .same: .replaced, .sameOtherMode: .replaced, .older: .replaced, .newer: .replaced, .fullDirectory: .none,
            .emptyDirectory: .replaced, .unfinished: .replaced,
        ],
        .ifChanged: [
            .same: .kept, .sameOtherMode: .updated, .older: .replaced, .newer: .replaced, .fullDirectory: .none,
            .emptyDirectory: .replaced, .unfinished: .replaced,
        ],
        .ifNewer: [
            .same: .kept, .sameOtherMode: .kept, .older: .replaced, .newer: .kept, .fullDirectory: .kept,
            .emptyDirectory: .kept, .unfinished: .replaced,
        ],
        .never: [
            .same: .kept, .sameOtherMode: .kept, .older: .kept, .newer: .kept, .fullDirectory: .kept,
            .emptyDirectory: .kept, .unfinished: .replaced,
        ],
    ]

    @Test(arguments: RestoreOptions.Overwrite.allCases, Existing.allCases)
    func filesFollowThePolicy(policy: RestoreOptions.Overwrite, existing: Existing) throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree { $0.overwrite = policy }
        let wanted = try #require(Self.expected[policy]?[existing])
        for isLarge in [false, true] {
            let name = isLarge ? "large" : "small"
            prepare(existing, folder, name)
            let file = entry(name, size: 3)
            let before = folder.read(name)
            var action: RestoreAction?
            let failure = code {
                if isLarge {
                    switch try tree.makeFile(file) {
                    case .settled(let settled): action = settled
                    case .write(let open):
                        try Array("new".utf8).withUnsafeBytes { try open.write($0, at: 0) }
                        try open.finish()
                        action = open.action
                    }
                } else {
                    action = try tree.file(file, "new")
                }
            }
            #expect(action == wanted)
            #expect(failure == (wanted == nil ? .conflict : nil))
            switch action {
            case .replaced?:
                #expect(folder.read(name) == "new")
                #expect(try tree.differences(from: file) == [])
            case .updated?:
                #expect(folder.read(name) == "old")
                #expect(try tree.differences(from: file) == [])
            default: #expect(folder.read(name) == before)
            }
        }
        #expect(folder.names() == ["large", "small"])
    }

    private func prepare(_ existing: Existing, _ folder: RestoreFolder, _ name: String) {
        let place = folder.target + "/" + name
        var seconds: Int64 = 1_600_000_000
        switch existing {
        case .same: folder.write("old", name)
        case .sameOtherMode: folder.write("old", name, mode: 0o600)
        case .older:
            folder.write("old", name)
            seconds -= 1
        case .newer:
            folder.write("old", name)
            seconds += 1
        case .fullDirectory:
            mkdir(place, 0o755)
            folder.write("x", name + "/x")
            seconds += 1
        case .emptyDirectory:
            mkdir(place, 0o755)
            seconds += 1
        case .unfinished:
            folder.write("old", name)
            seconds += 1
            chmod(place, 0o1600)
        }
        hawser_restore_set_modified(AT_FDCWD, place, seconds, 123_456_789)
    }

    @Test func directoriesWithContentAreReplacedOnlyWithDelete() throws {
        let folder = try RestoreFolder()
        let tree = try folder.tree { $0.deletes = true }
        mkdir(folder.target + "/f", 0o755)
        mkdir(folder.target + "/f/g", 0o755)
        symlink(folder.outside, folder.target + "/f/g/link")
        folder.write("keep", "victim", in: folder.outside)
        #expect(try tree.file("f", "x") == .replaced)
        #expect(folder.read("f") == "x")
        #expect(folder.read("victim", in: folder.outside) == "keep")
    }

    @Test func nodesFollowThePolicy() throws {
        let folder = try RestoreFolder()
        var link = entry("l", .symlink)
        link.linkTarget = Array("one".utf8)
        let fifo = entry("p", .fifo)
        for (policy, wanted) in [
            (RestoreOptions.Overwrite.never, [RestoreAction.created, .created]), (.never, [.kept, .kept]),
            (.ifChanged, [.updated, .updated]), (.ifNewer, [.kept, .kept]), (.always, [.replaced, .replaced]),
        ] {
            let tree = try folder.tree { $0.overwrite = policy }
            #expect(try [tree.makeSymlink(link), tree.makeSpecial(fifo)] == wanted)
            #expect(try tree.differences(from: link) + tree.differences(from: fifo) == [])
        }
        link.linkTarget = Array("two".utf8)
        #expect(try folder.tree { $0.overwrite = .ifChanged }.makeSymlink(link) == .replaced)
        #expect(folder.names() == ["l", "p"])
    }

    @Test func existingDirectoriesAreTakenAndKeepTheirMetadataUnderNever() throws {
        let folder = try RestoreFolder()
        for (policy, mode) in [(RestoreOptions.Overwrite.never, UInt32(0o711)), (.always, 0o755)] {
            let tree = try folder.tree { $0.overwrite = policy }
            mkdir(folder.target + "/d", 0o711)
            #expect(try tree.folder("d") == (policy == .never ? .kept : .updated))
            try tree.file("d/f", "x")
            try tree.finishDirectories()
            #expect(folder.mode("d") == mode)
        }
    }

    @Test func aDryRunSaysWhatWouldHappenAndChangesNothing() throws {
        let folder = try RestoreFolder()
        var tree = try folder.tree { $0.dryRun = true }
        #expect(try tree.folder("d") == .created)
        #expect(try tree.file("d/f", "x") == .created)
        try tree.finishDirectories()
        #expect(folder.status("") == nil)

        mkdir(folder.target, 0o755)
        folder.write("old", "f")
        symlink(folder.outside, folder.target + "/d")
        let before = folder.status("")?.st_mtim.tv_nsec
        tree = try folder.tree { $0.dryRun = true }
        #expect(try tree.file("f", "new") == .replaced)
        #expect(try tree.folder("d") == .replaced)
        #expect(try tree.file("d/f", "x") == .created)
        #expect(code { _ = try begun(tree.makeFile(entry("d/g", size: 5))) } == .internalError)
        var link = entry("l", .symlink)
        link.linkTarget = [65]
        #expect(try tree.makeSymlink(link) == .created)
        #expect(try tree.makeSpecial(entry("p", .fifo)) == .created)
        var links = RestoreLinks(tree)
        for name in ["h1", "h2"] {
            var name = entry(name)
            name.linkGroup = 1
            _ = try links.role(of: name, tree.plan(name))
        }
        try links.forEachWaiting { _, _ in Issue.record("Nothing is linked.") }
        var deletion = RestoreDeletion(tree, sources: [.root]) { _ in }
        deletion.visit(.root, .updated)
        deletion.visit(path("d"), .replaced)
        deletion.finish()
        try tree.finishDirectories()
        #expect(folder.names() == ["d", "f"])
        #expect(folder.read("f") == "old")
        #expect(folder.names("../outside") == [])
        #expect(folder.status("")?.st_mtim.tv_nsec == before)
    }
}
