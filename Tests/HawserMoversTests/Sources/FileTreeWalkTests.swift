import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct FileTreeWalkTests {
    /// Every kind, names that are hard, links, and times far away.
    static func manyKinds() throws -> SourceTree {
        let tree = SourceTree()
        try tree.shell(
            #"""
            mkdir -p a/b 'new
            line' z; echo text > a/b/file; ln a/b/file z/hard; ln -s /nowhere z/link; mkfifo z/fifo
            printf x > "$(printf 'a/\377\376')"; printf x > "$(printf 'a/%0255d' 7)"; : > a/empty
            chmod 4755 a/b/file; chmod 1777 z; truncate -s 1T z/sparse
            touch -d '1901-12-14 00:00:00.123456789 UTC' a/empty; touch -d '2240-06-01 UTC' z/sparse
            touch a-b 'a b' a.c; mkdir a.d; touch a.d/x
            """#
        )
        return tree
    }

    /// One line of `find` for an entry.
    private static func line(_ entry: Entry) -> [UInt8] {
        let kinds: [Entry.Kind: String] = [
            .file: "f", .directory: "d", .symlink: "l", .fifo: "p", .socket: "s", .characterDevice: "c",
            .blockDevice: "b",
        ]
        let text = [
            kinds[entry.kind] ?? "?", String(entry.mode, radix: 8), "\(entry.userID)", "\(entry.groupID)",
            String(decoding: entry.userName, as: UTF8.self), String(decoding: entry.groupName, as: UTF8.self),
            "\(entry.inode)", entry.kind == .file ? "\(entry.size)" : "-",
        ].joined(separator: " ")
        return Array(text.utf8) + [0x20] + entry.path.absoluteBytes
    }

    private static func lines(fromFind root: String) throws -> Set<[UInt8]> {
        let output = try SourceTree.shell(
            #"find \#(root) \( -type f -printf '%y %m %U %G %u %g %i %s %p\0' \) -o -printf '%y %m %U %G %u %g %i - %p\0'"#
        )
        return Set(output.split(separator: 0).map { Array($0) })
    }

    @Test(arguments: [false, true])
    func `gives in order exactly what find reports`(aheadAlways: Bool) async throws {
        let tree = try Self.manyKinds()
        let source = try FileTreeSource(paths: [tree.root])
        var entries: [Entry] = []
        try await source.walk(pace: aheadAlways ? .alwaysSlow : ScanPace()) { item in
            guard case .entry(let entry) = item else {
                Issue.record("unexpected: \(item)")
                return
            }
            entries.append(entry)
        }
        #expect(isAscending(entries))
        let below = entries.filter { tree.path("").contains($0.path) }
        #expect(Set(below.map(Self.line)) == (try Self.lines(fromFind: tree.root)))
        #expect(entries.prefix(3).map(\.path.description) == ["/", "/tmp", tree.root])
    }

    @Test(arguments: [false, true])
    func `a system folder is the same as find's`(aheadAlways: Bool) async throws {
        let root = "/usr/share/doc"
        let source = try FileTreeSource(paths: [root])
        // Somebody may install packages meanwhile: what stayed must be there, and nothing that never was.
        let before = try Self.lines(fromFind: root + "/").filter { $0.last != 0x2f }
        var entries: [Entry] = []
        try await source.walk(pace: aheadAlways ? .alwaysSlow : ScanPace()) { item in
            if case .entry(let entry) = item { entries.append(entry) }
        }
        let after = try Self.lines(fromFind: root + "/").filter { $0.last != 0x2f }
        #expect(isAscending(entries))
        let walked = Set(entries.dropFirst(4).map(Self.line))
        #expect(walked.isSuperset(of: before.intersection(after)))
        #expect(walked.isSubset(of: before.union(after)))
    }

    @Test func `keeps times before 1970 and after 2038 to the nanosecond`() async throws {
        let tree = try Self.manyKinds()
        let walked = try await FileTreeSource(paths: [tree.root]).walked()
        #expect(walked[tree.path("a/empty")]?.modified == Timestamp(seconds: -2_147_472_000, nanoseconds: 123_456_789))
        #expect(walked[tree.path("z/sparse")]?.modified == Timestamp(seconds: 8_533_468_800))
        #expect(walked[tree.path("z/sparse")]?.created != nil)
    }

    @Test func `names of one file share a group`() async throws {
        let tree = try Self.manyKinds()
        let walked = try await FileTreeSource(paths: [tree.root]).walked()
        let group = try #require(walked[tree.path("z/hard")]?.linkGroup)
        #expect(walked[tree.path("a/b/file")]?.linkGroup == group)
        #expect(walked.entries.filter { $0.linkGroup != nil }.count == 2)
    }

    @Test func `equal inodes of two file systems have different groups`() {
        let links = LinkGroups()
        let inodes: [UInt64] = [1, 2, 1 << 47, 1 << 48, 1 << 63, .max]
        let groups = (0..<3).flatMap { device in
            inodes.map { links.group(of: FileIdentity(device: UInt64(device) * 77, inode: $0)) }
        }
        #expect(Set(groups).count == 18)
        #expect(links.group(of: FileIdentity(device: 77, inode: 2)) == groups[7])
        #expect(groups[0] == 1)
    }

    @Test func `overlapping and untidy paths are given once`() async throws {
        let tree = SourceTree()
        try tree.shell("mkdir -p a/b/c d; touch a/b/c/f a/g d/h e")
        let source = try FileTreeSource(paths: [
            "\(tree.root)/a/b/c/", "\(tree.root)//a/./x/../b", "\(tree.root)/d/h", "\(tree.root)/a/b/c",
        ])
        let walked = try await source.walked()
        #expect(walked.names(in: tree) == ["a", "d", "a/b", "a/b/c", "a/b/c/f", "d/h"])
        #expect(isAscending(walked.entries))
        #expect(source.paths.count == 3)
    }

    @Test func `relative paths count from the current directory`() throws {
        let home = Array("/home/user".utf8)
        let normalise = { (path: String) in
            try SourceRoots.normalise(Array(path.utf8), currentDirectory: home).description
        }
        #expect(try normalise(".") == "/home/user")
        #expect(try normalise("../x/./y//") == "/home/x/y")
        #expect(try normalise("../../../..") == "/")
        #expect(try normalise("/a/..") == "/")
        #expect(throws: HawserError.self) { try normalise("") }
    }

    @Test func `a path that does not exist is refused at once`() throws {
        let tree = SourceTree()
        try tree.shell("touch f")
        for path in ["missing", "f/below"] {
            let error = #expect(throws: HawserError.self) {
                try FileTreeSource(paths: [tree.root, "\(tree.root)/\(path)"])
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test func `a given symbolic link is stored, one on the way is a directory`() async throws {
        let tree = SourceTree()
        try tree.shell("mkdir -p real/sub; touch real/sub/f; ln -s real link; ln -s real/sub direct")
        let source = try FileTreeSource(paths: ["\(tree.root)/direct", "\(tree.root)/link/sub"])
        let walked = try await source.walked()
        #expect(walked.names(in: tree) == ["direct", "link", "link/sub", "link/sub/f"])
        #expect(walked[tree.path("direct")]?.kind == .symlink)
        #expect(walked[tree.path("link")]?.kind == .directory)
        let file = try #require(walked[tree.path("link/sub/f")])
        #expect(try await source.content(of: file).isEmpty)
    }

    @Test func `a given path behind a link that is walked too is found`() async throws {
        let tree = SourceTree()
        try tree.shell("mkdir -p real/sub; touch real/sub/f real/g; ln -s real link")
        let walked = try await FileTreeSource(paths: [tree.root, "\(tree.root)/link/sub"]).walked()
        #expect(
            walked.names(in: tree) == [
                "link", "real", "link/sub", "link/sub/f", "real/g", "real/sub", "real/sub/f",
            ]
        )
    }

    @Test func `stays on one file system but keeps its mount points`() async throws {
        var device = stat()
        var mount = stat()
        guard stat("/dev", &device) == 0, stat("/dev/pts", &mount) == 0, device.st_dev != mount.st_dev else { return }
        let options = FileTreeSource.Options(staysOnFileSystem: true)
        let narrow = try await FileTreeSource(paths: ["/dev"], options: options).walked().paths
        #expect(narrow.contains("/dev/pts") && !narrow.contains("/dev/pts/ptmx"))
        let both = try await FileTreeSource(paths: ["/dev", "/dev/pts"], options: options).walked().paths
        #expect(both.contains("/dev/pts/ptmx"))
        let devices = try await FileTreeSource(paths: ["/dev/null"]).walked().entries
        #expect(devices.last?.device == Entry.Device(major: 1, minor: 3))
        #expect(devices.last?.kind == .characterDevice)
    }

    @Test func `walks and reads below ten thousand levels`() async throws {
        let tree = SourceTree()
        let depth = 10_000
        var directory = Glibc.open(tree.root, O_RDONLY | O_DIRECTORY)
        for _ in 0..<depth {
            try #require(mkdirat(directory, "d", 0o755) == 0 && mkdirat(directory, "e", 0o755) == 0)
            let next = openat(directory, "d", O_RDONLY | O_DIRECTORY)
            close(directory)
            directory = next
        }
        close(openat(directory, "file", O_CREAT | O_WRONLY, 0o644))
        close(directory)
        let source = try FileTreeSource(paths: [tree.root])
        var count = 0
        var deepest: Entry?
        try await source.walk { item in
            guard case .entry(let entry) = item else {
                Issue.record("unexpected: \(item)")
                return
            }
            count += 1
            if entry.kind == .file { deepest = entry }
        }
        #expect(count == 3 + 2 * depth + 1)
        let file = try #require(deepest)
        source.cache.removeAll()
        #expect(try await source.content(of: file).isEmpty)
    }
}
