import Glibc
import HawserFormat
import Testing

@testable import HawserMovers

@Suite struct FileTreeContentTests {
    @Test func `reads what was written, through both ways`() async throws {
        let tree = SourceTree()
        let content = String(repeating: "hawser ", count: 10_000)
        try tree.write("f", content)
        let source = try FileTreeSource(paths: [tree.root])
        let entry = try #require(try await source.walked()[tree.path("f")])
        #expect(try await source.content(of: entry, block: 1 << 14) == Array(content.utf8))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: content.utf8.count, alignment: 16)
        defer { buffer.deallocate() }
        var whole = entry
        #expect(try await source.read(&whole, into: buffer) == content.utf8.count)
        #expect(buffer.elementsEqual(content.utf8))
        #expect(whole == entry)
        let small = UnsafeMutableRawBufferPointer(rebasing: buffer[1...])
        #expect(try await source.read(&whole, into: small) == nil)
    }

    @Test func `pseudo files without a size are read`() async throws {
        let source = try FileTreeSource(paths: ["/proc/version"])
        var entry = try #require(try await source.walked().entries.last)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 12, alignment: 16)
        defer { buffer.deallocate() }
        let count = try #require(try await source.read(&entry, into: buffer))
        #expect(count > 0 && entry.size == UInt64(count))
        let small = UnsafeMutableRawBufferPointer(rebasing: buffer[..<5])
        #expect(try await source.read(&entry, into: small) == nil)
    }

    @Test func `holes of a file of 1 TiB are skipped`() async throws {
        let tree = SourceTree()
        try tree.shell(
            "truncate -s 1T f; printf data | dd of=f bs=1M seek=500000 conv=notrunc 2>/dev/null; echo full > g"
        )
        let source = try FileTreeSource(paths: [tree.root])
        let walked = try await source.walked()
        let file = try await source.open(try #require(walked[tree.path("f")]))
        defer { file.close() }
        #expect(file.mayHaveHoles)
        let data = try #require(try await file.nextData(from: 0))
        let position: UInt64 = 500_000 << 20
        #expect(data.contains(position) && data.count < 1 << 20)
        #expect(try await file.nextData(from: data.upperBound) == nil)
        let full = try await source.open(try #require(walked[tree.path("g")]))
        defer { full.close() }
        #expect(!full.mayHaveHoles)
    }

    @Test func `holes of small files, and of files whose attributes take blocks, are found`() async throws {
        let tree = SourceTree()
        try tree.shell(
            """
            for size in 100 8K 100K; do truncate -s $size hole-$size; done
            truncate -s 1M large; head -c 8192 /dev/zero | dd of=large bs=4K seek=4 conv=notrunc 2>/dev/null
            head -c 100000 /dev/zero >dense
            """
        )
        _ = TestCalls.setAttribute("\(tree.root)/large", "user.large", [UInt8](repeating: 7, count: 3000))
        let source = try FileTreeSource(paths: [tree.root])
        let walked = try await source.walked()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { buffer.deallocate() }
        for name in ["hole-100", "hole-8K", "hole-100K"] {
            var entry = try #require(walked[tree.path(name)])
            #expect(try await source.read(&entry, into: buffer) == nil, "\(name)")
            let file = try await source.open(entry)
            defer { file.close() }
            #expect(file.mayHaveHoles, "\(name)")
            #expect(try await file.nextData(from: 0) == nil, "\(name)")
        }
        let large = try await source.open(try #require(walked[tree.path("large")]))
        defer { large.close() }
        #expect(large.mayHaveHoles)
        var dense = try #require(walked[tree.path("dense")])
        #expect(try await source.read(&dense, into: buffer) == 100_000)
    }

    @Test func `completes links, attributes, ACLs and flags`() async throws {
        let tree = SourceTree()
        let target = String(repeating: "t/", count: 2000)
        try tree.shell("mkdir d; echo x > d/f; ln -s '\(target)' d/l; mkfifo d/p")
        // user::rw-, group::r--, mask and other, and one more user: what setfacl would write.
        let list: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 77, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0,
            4, 0, 255,
            255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        ]
        let large = [UInt8](repeating: 7, count: 2000)
        let set = { (name: String, attribute: String, value: [UInt8]) in
            TestCalls.setAttribute("\(tree.root)/\(name)", attribute, value)
        }
        guard set("d/f", "user.large", large), set("d/f", "user.empty", []), set("d", "user.of-directory", [1, 0, 2])
        else { return }
        let hasList = set("d/f", "system.posix_acl_access", list)
        let hasFlags = (try? tree.shell("chattr +d d/f && chattr +A d")) != nil

        let source = try FileTreeSource(paths: [tree.root])
        let walked = try await source.walked()
        let file = try await source.complete(try #require(walked[tree.path("d/f")]))
        var expected = [
            ExtendedAttribute(name: Array("user.empty".utf8), value: []),
            ExtendedAttribute(name: Array("user.large".utf8), value: large),
        ]
        if hasList {
            expected.insert(ExtendedAttribute(name: Array("system.posix_acl_access".utf8), value: list), at: 0)
        }
        #expect(file.attributes == expected)
        let opened = try await source.open(file)
        #expect(try await opened.status() == file)
        opened.close()
        let directory = try await source.complete(try #require(walked[tree.path("d")]))
        #expect(directory.attributes == [ExtendedAttribute(name: Array("user.of-directory".utf8), value: [1, 0, 2])])
        if hasFlags {
            #expect(file.inodeFlags == 0x40)
            #expect(directory.inodeFlags == 0x80)
        }
        let link = try await source.complete(try #require(walked[tree.path("d/l")]))
        #expect(link.linkTarget == Array(target.utf8))
        let fifo = try await source.complete(try #require(walked[tree.path("d/p")]))
        #expect(fifo.attributes.isEmpty)
        for entry in walked.entries { _ = try await source.complete(entry) }
    }
}
