import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct FileTreeRaceTests {
    @Test func `a directory replaced by a symbolic link is not followed`() async throws {
        let tree = SourceTree()
        let outside = SourceTree()
        try outside.write("secret", "x")
        try tree.shell("mkdir a b; touch a/f")
        var seen: [String] = []
        var problems: [EntryPath] = []
        try await FileTreeSource(paths: [tree.root]).walk { item in
            switch item {
            case .entry(let entry):
                seen.append(entry.path.description)
                if entry.path == tree.path("b") { try tree.shell("mv a old; ln -s \(outside.root) a") }
            case .problem(let path, let error):
                problems.append(path)
                #expect(error.code == .fileSystem)
            }
        }
        #expect(problems == [tree.path("a")])
        #expect(!seen.contains { $0.hasSuffix("secret") || $0.hasSuffix("/f") })
    }

    @Test func `what vanishes is a problem and the walk goes on`() async throws {
        let tree = SourceTree()
        try tree.shell("for n in $(seq 1000 1299); do : > f$n; done; mkdir g h; touch h/i")
        var problems: [EntryPath] = []
        var last: EntryPath?
        try await FileTreeSource(paths: [tree.root]).walk { item in
            switch item {
            case .entry(let entry):
                last = entry.path
                if entry.path == tree.path("f1000") { try tree.shell("rm f1299") }
                if entry.path == tree.path("h") { try tree.shell("rmdir g") }
            case .problem(let path, let error):
                problems.append(path)
                #expect(error.code == .notFound)
            }
        }
        #expect(problems == [tree.path("f1299"), tree.path("g")])
        #expect(last == tree.path("h/i"))
    }

    @Test func `a walk of which every given path has vanished fails, and of which one has not goes on`() async throws {
        let tree = SourceTree()
        try tree.shell("mkdir a b; touch b/f")
        let one = try FileTreeSource(paths: [tree.root + "/a"])
        let both = try FileTreeSource(paths: [tree.root + "/a", tree.root + "/b"])
        try tree.shell("rmdir a")
        let error = await #expect(throws: HawserError.self) { try await one.walk { _ in } }
        #expect(error?.code == .notFound)
        var problems: [EntryPath] = []
        var last: EntryPath?
        try await both.walk { item in
            switch item {
            case .entry(let entry): last = entry.path
            case .problem(let path, _): problems.append(path)
            }
        }
        #expect(problems == [tree.path("a")])
        #expect(last == tree.path("b/f"))
    }

    @Test(arguments: [false, true])
    func `a directory moved while the walk is deep below it is found again or a problem`(isLost: Bool) async throws {
        let tree = SourceTree()
        let deep = Array(repeating: "d", count: 60).joined(separator: "/")
        try tree.shell("mkdir -p a/\(deep) a/z; touch a/z/f")
        let source = try FileTreeSource(paths: [tree.root])
        var problems: [EntryPath] = []
        var seen: [EntryPath] = []
        try await source.walk { item in
            switch item {
            case .problem(let path, _): problems.append(path)
            case .entry(let entry):
                seen.append(entry.path)
                guard entry.path == tree.path("a/\(deep)") else { return }
                // The first levels have given back their descriptors by now.
                try tree.shell("mv a/d moved" + (isLost ? "; mv a gone" : ""))
                source.cache.removeAll()
            }
        }
        #expect(problems == (isLost ? [tree.path("a")] : []))
        #expect(seen.contains(tree.path("a/z/f")) != isLost)
    }

    @Test func `what may not be read is a problem`() async throws {
        let tree = SourceTree()
        try tree.shell("chmod 755 .; mkdir locked open; touch locked/x open/y secret; chmod 000 locked secret")
        let source = try FileTreeSource(paths: [tree.root])
        // Root may read everything, a file system user id of its own may not. It belongs to the thread: nothing suspends here.
        let isRoot = geteuid() == 0
        if isRoot { TestCalls.setFileSystemUser(65_534) }
        let walked = try await source.walked()
        var codes: [HawserError.Code] = []
        if let secret = walked[tree.path("secret")] {
            do { _ = try await source.open(secret) } catch let error as HawserError { codes.append(error.code) }
        }
        if isRoot { TestCalls.setFileSystemUser(0) }
        #expect(walked.problems.map(\.path) == [tree.path("locked")])
        #expect(walked.problems.first?.error.code == .accessDenied)
        #expect(walked[tree.path("open/y")] != nil)
        #expect(codes == [.accessDenied])
    }

    @Test func `given paths that can't be read are problems, and the others are walked`() async throws {
        let tree = SourceTree()
        try tree.shell("chmod 755 .; mkdir -p gone/on locked open; touch open/y; chmod 000 locked")
        let paths = ["gone/on", "locked", "open"].map { "\(tree.root)/\($0)" }
        let source = try FileTreeSource(paths: paths)
        try tree.shell("rm -r gone")
        let isRoot = geteuid() == 0
        if isRoot { TestCalls.setFileSystemUser(65_534) }
        let walked = try await source.walked()
        if isRoot { TestCalls.setFileSystemUser(0) }
        #expect(walked.problems.map(\.path) == [tree.path("gone"), tree.path("locked")])
        #expect(walked.problems.map(\.error.code) == [.notFound, .accessDenied])
        #expect(walked[tree.path("open/y")] != nil)
    }

    @Test func `a FIFO, a link or nothing in a file's place neither blocks nor is read`() async throws {
        let tree = SourceTree()
        try tree.shell("echo 1 > a; echo 2 > b; echo 3 > c; echo 4 > d")
        let source = try FileTreeSource(paths: [tree.root])
        let walked = try await source.walked()
        try tree.shell("rm a b c; mkfifo a; ln -s d b")
        for (name, code) in [("a", HawserError.Code.fileSystem), ("b", .fileSystem), ("c", .notFound)] {
            let entry = try #require(walked[tree.path(name)])
            let error = await #expect(throws: HawserError.self) { _ = try await source.open(entry) }
            #expect(error?.code == code)
        }
    }

    @Test func `a file replaced by another is stored as the other`() async throws {
        let tree = SourceTree()
        try tree.write("f", "old")
        let source = try FileTreeSource(paths: [tree.root])
        var entry = try #require(try await source.walked()[tree.path("f")])
        let before = entry.inode
        try tree.shell("echo newer > g; mv g f")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 16)
        defer { buffer.deallocate() }
        #expect(try await source.read(&entry, into: buffer) == 6)
        #expect(entry.inode != before && entry.size == 6 && !entry.changedWhileRead)
    }

    @Test func `a change while reading is noticed`() async throws {
        let tree = SourceTree()
        try tree.write("f", "0123456789")
        let source = try FileTreeSource(paths: [tree.root])
        let entry = try #require(try await source.walked()[tree.path("f")])
        let file = try await source.open(entry)
        defer { file.close() }
        let stored = try await file.status()
        #expect(try await file.isUnchanged(since: stored))
        try tree.shell("sleep 0.02; echo more >> f")
        #expect(try await !file.isUnchanged(since: stored))
    }

    @Test func `what the visitor throws ends the walk`() async throws {
        struct Stop: Error {}
        let source = try FileTreeSource(paths: ["/usr/share/doc"])
        await #expect(throws: Stop.self) {
            try await source.walk(pace: .alwaysSlow) { _ in throw Stop() }
        }
    }

    @Test func `a cancelled walk ends`() async throws {
        let source = try FileTreeSource(paths: ["/usr/share"])
        let task = Task { try await source.walk { _ in withUnsafeCurrentTask { $0?.cancel() } } }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
