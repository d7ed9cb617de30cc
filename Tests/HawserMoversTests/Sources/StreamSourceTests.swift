import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct StreamSourceTests {
    private func run(_ source: StreamSource, block: Int = 1000) async throws -> [UInt8] {
        let walked = try await source.walked()
        let file = try #require(walked.entries.last)
        return try await source.content(of: file, block: block)
    }

    private func shell(_ text: String) throws -> StreamSource {
        try StreamSource(command: ["/bin/sh", "-c", text].map { Array($0.utf8) })
    }

    @Test func `has one file and its ancestors`() async throws {
        let path = try #require(EntryPath(Array("/db/dump.sql".utf8)))
        let source = StreamSource(descriptor: 0, path: path)
        let walked = try await source.walked()
        #expect(walked.paths == ["/", "/db", "/db/dump.sql"])
        #expect(walked.entries.map(\.kind) == [.directory, .directory, .file])
        #expect(walked.entries[1].mode == 0o755 && walked.entries[1].userID == geteuid())
        #expect(source.paths == [Array("/db/dump.sql".utf8)])
        #expect(StreamSource.defaultPath.description == "/stdin")
    }

    @Test func `reads a pipe to its end, once`() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let content = Array("content of a pipe".utf8)
        #expect(Glibc.write(ends[1], content, content.count) == content.count)
        close(ends[1])
        defer { close(ends[0]) }
        let source = StreamSource(descriptor: ends[0])
        #expect(try await run(source, block: 5) == content)
        await #expect(throws: HawserError.self) { _ = try await source.open(Entry(path: .root, kind: .file)) }
    }

    @Test func `waits at a pipe that does not block`() async throws {
        let source = try shell("sleep 0.1; printf late")
        #expect(try await run(source) == Array("late".utf8))
    }

    @Test(arguments: ["exec sleep 1000", "exec >&-; exec sleep 1000"])
    func `a program that says nothing, or never ends, can be cancelled`(program: String) async throws {
        let source = try shell(program)
        let reading = Task { try await run(source) }
        reading.cancel()
        await #expect(throws: CancellationError.self) { _ = try await reading.value }
    }

    @Test func `a pipe into which nobody writes can be cancelled`() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let source = StreamSource(descriptor: ends[0])
        let reading = Task { try await run(source) }
        reading.cancel()
        await #expect(throws: CancellationError.self) { _ = try await reading.value }
    }

    @Test func `reads a sequence of any chunks`() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        for chunk in [[1, 2, 3], [], [4], [UInt8](repeating: 5, count: 5000)] as [[UInt8]] { continuation.yield(chunk) }
        continuation.finish()
        #expect(try await run(StreamSource(chunks: stream)) == [1, 2, 3, 4] + [UInt8](repeating: 5, count: 5000))
    }

    @Test func `an error of the sequence reaches the reader`() async throws {
        struct Broken: Error {}
        let stream = AsyncThrowingStream<[UInt8], any Error> { continuation in
            continuation.yield([1])
            continuation.finish(throwing: Broken())
        }
        await #expect(throws: Broken.self) { _ = try await run(StreamSource(chunks: stream)) }
    }

    @Test func `reads the output of a command`() async throws {
        #expect(try await run(shell("seq 1 3; cat")) == Array("1\n2\n3\n".utf8))
    }

    @Test(arguments: [("echo half; exit 3", "exit status 3"), ("echo half; kill -9 $$", "signal 9")])
    func `a command that fails is an error at the end`(text: String, reason: String) async throws {
        let error = await #expect(throws: HawserError.self) { _ = try await run(shell(text)) }
        #expect(error?.code == .commandFailed)
        #expect(error?.message.contains(reason) == true)
    }

    @Test func `a command that is not there is an error`() async throws {
        let source = try StreamSource(command: [Array("/nowhere/dump".utf8)])
        let error = await #expect(throws: HawserError.self) { _ = try await run(source) }
        #expect(error?.code == .commandFailed)
        #expect(throws: HawserError.self) { try StreamSource(command: []) }
    }

    @Test func `a command learns no secrets`() async throws {
        setenv("HAWSER_PASSWORD_FOR_TEST", "secret", 1)
        setenv("AWS_TEST", "secret", 1)
        setenv("HAWSER_TEST_KEPT", "kept", 1)
        let output = String(decoding: try await run(shell("env")), as: UTF8.self)
        #expect(output.contains("HAWSER_TEST_KEPT=kept"))
        #expect(!output.contains("secret"))
    }

    @Test func `closing early ends the command`() async throws {
        let marker = SourceTree()
        let source = try shell(
            "trap 'echo ended > \(marker.root)/ended; exit' TERM; echo x; while :; do sleep 0.01; done"
        )
        let file = try await source.open(Entry(path: .root, kind: .file))
        var byte: [UInt8] = [0]
        _ = try await source.read(file, into: &byte, at: 0)
        file.close()
        #expect(access("\(marker.root)/ended", F_OK) == 0)
    }

    @Test func `only reads on`() async throws {
        let file = try await shell("echo x").open(Entry(path: .root, kind: .file))
        defer { file.close() }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
        defer { buffer.deallocate() }
        await #expect(throws: HawserError.self) { _ = try await file.read(into: buffer, at: 1) }
    }
}

@Suite struct ImageSourceTests {
    @Test func `an image file is one file with its holes`() async throws {
        let tree = SourceTree()
        try tree.shell(
            "truncate -s 1G disk; printf x | dd of=disk bs=1M seek=10 conv=notrunc 2>/dev/null; ln -s disk link"
        )
        for name in ["disk", "link"] {
            let source = try ImageSource(path: tree.path(name).absoluteBytes)
            #expect(source.contentForm == .image)
            let walked = try await source.walked()
            let entry = try #require(walked.entries.last)
            #expect(isAscending(walked.entries))
            #expect(walked.entries.map(\.path.description) == ["/", "/tmp", tree.root, "\(tree.root)/\(name)"])
            #expect(entry.kind == .file && entry.size == 1 << 30)
            let file = try await source.open(entry)
            defer { file.close() }
            #expect(file.mayHaveHoles)
            #expect(try await file.nextData(from: 0)?.lowerBound == 10 << 20)
        }
    }

    @Test func `a directory is no image`() async throws {
        let source = try ImageSource(path: Array("/tmp".utf8))
        let error = await #expect(throws: HawserError.self) { _ = try await source.walked() }
        #expect(error?.code == .invalidArgument)
    }

    private static func canRead(_ path: String) -> Bool {
        let file = open(path, O_RDONLY)
        if file >= 0 { close(file) }
        return file >= 0
    }

    @Test func `a block device has the device's size`() async throws {
        let devices: [String] = ["/dev/vda", "/dev/sda", "/dev/nvme0n1"]
        guard let device = devices.first(where: Self.canRead) else { return }
        guard let sectors = try? SourceTree.shell("cat /sys/class/block/\(device.dropFirst(5))/size"),
            let size = UInt64(String(decoding: sectors.dropLast(), as: UTF8.self))
        else { return }
        let entry = try #require(try await ImageSource(path: Array(device.utf8)).walked().entries.last)
        #expect(entry.kind == .file && entry.size == size * 512)
    }
}
