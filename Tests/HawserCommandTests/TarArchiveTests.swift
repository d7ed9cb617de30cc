import Foundation
import Hawser
import Testing

@testable import HawserCommand

/// What the system's tar makes of our archives.
@Suite("Tar archives")
struct TarArchiveTests {
    private struct Item {
        var entry: Entry
        var content: [UInt8] = []
        var link: EntryPath?
    }

    private func entry(_ path: String, _ kind: Entry.Kind = .file, mode: UInt16 = 0o644) -> Entry {
        entry(Array(path.utf8), kind, mode: mode)
    }

    private func entry(_ path: [UInt8], _ kind: Entry.Kind = .file, mode: UInt16 = 0o644) -> Entry {
        var entry = Entry(path: EntryPath(path) ?? .root, kind: kind)
        entry.mode = mode
        entry.userID = getuid()
        entry.groupID = getgid()
        entry.modified = Timestamp(seconds: 1_600_000_000, nanoseconds: 123_456_789)
        return entry
    }

    /// - Parameter isPlausible: otherwise tar may say that it finds something odd, but must take it.
    private func extract(
        _ items: [Item],
        isPlausible: Bool = true,
        _ body: (String) throws -> Void
    ) async throws {
        var archive: [UInt8] = []
        for item in items {
            var entry = item.entry
            entry.size = UInt64(item.content.count)
            archive += TarArchive.header(of: entry, linkedTo: item.link) + item.content
            archive += TarArchive.padding(after: entry.size)
        }
        try await extract(archive: archive, isPlausible: isPlausible, body)
    }

    private func extract(
        archive: [UInt8],
        isPlausible: Bool = true,
        _ body: (String) throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hawser-tar-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let archive = archive + TarArchive.end
        #expect(archive.count.isMultiple(of: 512))
        try Data(archive).write(to: URL(filePath: folder + "/a.tar"))
        let tar = Process()
        tar.executableURL = URL(filePath: "/usr/bin/env")
        tar.arguments = ["tar", "-xf", folder + "/a.tar", "-C", folder]
        let errors = Pipe()
        tar.standardError = errors
        try tar.run()
        let said = try errors.fileHandleForReading.readToEnd() ?? Data()
        tar.waitUntilExit()
        #expect(
            tar.terminationStatus == 0 && (said.isEmpty || !isPlausible),
            "\(String(decoding: said, as: UTF8.self))"
        )
        try body(folder)
    }

    private func status(_ path: String) throws -> stat {
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(path)")
        return status
    }

    @Test("Files, folders, links and times come out as they went in")
    func everyday() async throws {
        var symlink = entry("d/link", .symlink)
        symlink.linkTarget = Array("file".utf8)
        let items = [
            Item(entry: entry("d", .directory, mode: 0o750)),
            Item(entry: entry("d/file", mode: 0o640), content: Array("text".utf8)),
            Item(entry: entry("d/hard"), link: entry("d/file").path), Item(entry: symlink),
            Item(entry: entry("d/pipe", .fifo)),
        ]
        try await extract(items) { folder in
            let file = try status(folder + "/d/file")
            #expect(FileManager.default.contents(atPath: folder + "/d/file") == Data("text".utf8))
            #expect(
                file.st_mode & 0o7777 == 0o640 && file.st_mtim.tv_sec == 1_600_000_000
                    && file.st_mtim.tv_nsec == 123_456_789
            )
            #expect(try status(folder + "/d/hard").st_ino == file.st_ino)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/d/link") == "file")
            #expect(try status(folder + "/d/pipe").st_mode & S_IFMT == S_IFIFO)
            #expect(try status(folder + "/d").st_mode & 0o7777 == 0o750)
        }
    }

    @Test("Long names and targets, and those with other letters")
    func names() async throws {
        let long = (0..<10).map { "\($0)" + String(repeating: "n", count: 50) }.joined(separator: "/")
        let other = "Zoë-日本語"
        var symlink = entry("link", .symlink)
        symlink.linkTarget = Array(long.utf8)
        let items = [
            Item(entry: entry(long), content: [1]), Item(entry: entry(other), content: [2]), Item(entry: symlink),
            Item(entry: entry(String(repeating: "x", count: 99), .directory, mode: 0o755)),
        ]
        try await extract(items) { folder in
            #expect(FileManager.default.contents(atPath: folder + "/" + long) == Data([1]))
            #expect(FileManager.default.contents(atPath: folder + "/" + other) == Data([2]))
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link")
            #expect(target == long)
            let directory = try status(folder + "/" + String(repeating: "x", count: 99))
            #expect(directory.st_mode & S_IFMT == S_IFDIR)
        }
    }

    @Test("Names that are not UTF-8")
    func rawNames() async throws {
        try await extract([Item(entry: entry([0x62, 0xff, 0x64]), content: [3])]) { folder in
            let names = [0x62, 0xff, 0x64] as [UInt8]
            let path = Array(folder.utf8) + [UInt8(ascii: "/")] + names
            #expect(path.withNullTerminated { access($0, F_OK) } == 0)
        }
    }

    @Test("Times before 1970", arguments: [(-1, 500_000_000), (-86_400, 0)] as [(Int64, UInt32)])
    func oldTimes(seconds: Int64, nanoseconds: UInt32) async throws {
        var old = entry("old")
        old.modified = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
        try await extract([Item(entry: old)], isPlausible: false) { folder in
            let found = try status(folder + "/old").st_mtim
            #expect(found.tv_sec == Int(seconds) && found.tv_nsec == Int(nanoseconds))
        }
    }

    @Test(
        "Holes stay holes, wherever they lie, and no data is lost",
        arguments: [
            [.hole(length: 1 << 20)], [.hole(length: 1 << 20), .zero(length: 5000)],
            [.zero(length: 700), .zero(length: 324), .hole(length: 1 << 20)],
            [
                .zero(length: 512), .hole(length: 1 << 20), .zero(length: 1024), .hole(length: 1 << 21),
                .zero(length: 5),
            ],
        ] as [[Extent]]
    )
    func holes(extents: [Extent]) async throws {
        var sparse = entry("folder/" + String(repeating: "sparse", count: 20), mode: 0o640)
        sparse.size = extents.reduce(0) { $0 + UInt64($1.length) }
        var map = SparseMap()
        var lines: [UInt8] = []
        var content: [UInt8] = []
        for extent in extents {
            if let stretch = map.take(extent) { lines += SparseMap.lines(stretch) }
            // Data shows better than zeros.
            if case .zero = extent { content += [UInt8](repeating: 7, count: extent.length) }
        }
        if let stretch = map.finish() { lines += SparseMap.lines(stretch) }
        lines = map.firstLine + lines
        #expect(map.isUsable)
        #expect(UInt64(lines.count) == map.length && UInt64(content.count) == map.dataLength)
        let stored = lines + TarArchive.padding(after: map.length) + content
        #expect(UInt64(stored.count) == map.storedLength)
        let archive =
            TarArchive.header(of: sparse, linkedTo: nil, sparse: map) + stored
            + TarArchive.padding(after: map.storedLength)
        try await extract(archive: archive) { folder in
            let path = folder + "/" + String(decoding: sparse.path.bytes, as: UTF8.self)
            let found = try status(path)
            #expect(found.st_size == Int(sparse.size) && found.st_mode & 0o7777 == 0o640)
            let bytes = try #require(FileManager.default.contents(atPath: path))
            var wanted: [UInt8] = []
            for extent in extents {
                if case .zero = extent {
                    wanted += [UInt8](repeating: 7, count: extent.length)
                } else {
                    wanted += [UInt8](repeating: 0, count: extent.length)
                }
            }
            #expect(bytes == Data(wanted))
            #expect(Int(found.st_blocks) * 512 < Int(sparse.size))
        }
    }

    @Test(
        "Holes that don't lie at blocks are left out",
        arguments: [
            [.zero(length: 100), .hole(length: 1 << 20)], [.hole(length: 1000), .zero(length: 1)], [.zero(length: 512)],
        ] as [[Extent]]
    )
    func unalignedHoles(extents: [Extent]) {
        var map = SparseMap()
        for extent in extents { _ = map.take(extent) }
        _ = map.finish()
        #expect(!map.isUsable)
    }

    @Test("A size beyond what the header's field holds stands in a record")
    func largeSize() {
        var large = entry("large")
        large.size = 1 << 40
        let header = TarArchive.header(of: large, linkedTo: nil)
        #expect(String(decoding: header, as: UTF8.self).contains("size=1099511627776\n"))
    }
}
