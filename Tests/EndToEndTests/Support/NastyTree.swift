import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A tree of everything that backup programs stumble over. What this system or user can't make is left out and named
/// in `skipped`.
struct NastyTree {
    private(set) var skipped: [String] = []
    private var generator: SeededGenerator

    /// - Parameter folder: exists and is empty.
    init(in folder: String, seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        let root = try Folder(path: folder)
        try sizes(root.makeFolder("sizes"))
        try names(root.makeFolder("names"))
        try links(root.makeFolder("links"))
        try specialFiles(root.makeFolder("special"))
        try sparseFiles(root.makeFolder("sparse"))
        try modes(root.makeFolder("modes"))
        try attributes(root.makeFolder("attributes"))
        try owners(root.makeFolder("owners"))
        try deepPath(root.makeFolder("deep"))
        try crowd(root.makeFolder("crowd"))
        // Times last: everything above changes those of the folders.
        try times(root.makeFolder("times"))
    }

    /// As a known issue, so that a run shows what it did not test.
    func tellSkipped() {
        withKnownIssue("Not everything can be made here", isIntermittent: true) {
            #expect(skipped.isEmpty, "left out: \(skipped)")
        }
    }

    private mutating func attempt(_ what: String, _ body: () throws -> Void) {
        do {
            try body()
        } catch {
            skipped.append("\(what): \(error)")
        }
    }

    private mutating func sizes(_ folder: Folder) throws {
        // Around the limits of inline content, of blocks and of the smallest, average and largest chunk.
        for size in [0, 1, 511, 512, 513, 4_095, 4_096, 4_097, 262_143, 262_144, 262_145, 1 << 20, (4 << 20) + 1] {
            try folder.makeFile("random-\(size)", generator.bytes(size))
        }
        try folder.makeFile("zeros", [UInt8](repeating: 0, count: 5 << 20))
        try folder.makeFile("repeated", [UInt8](repeating: UInt8(ascii: "a"), count: 3 << 20))
        let block = generator.bytes(1 << 20)
        try folder.makeFile("twice", block + block)
        try folder.makeFile("shifted", [0x2a] + block + block)
    }

    private mutating func names(_ folder: Folder) throws {
        let texts = [
            "new\nline", "tab\tbed", "\u{1b}[31mred\u{1b}[0m", "\r", "\u{7f}", " leading and trailing ", "-rf",
            "--help",
            "*", "?", "[a]", "$(id)", "`id`", "quote'\"", "back\\slash", "colon:", "#", "~", "...", "..a", "é",
            "e\u{301}",
            "\u{202e}txt.exe", "\u{200b}", "日本語", "🚢", "CON", "trailing.", "%2f", "\u{1}",
        ]
        for text in texts { try folder.makeFile(Array(text.utf8), Array(text.utf8)) }
        try folder.makeFile([UInt8](repeating: UInt8(ascii: "n"), count: 255), [1])
        // macOS refuses what is not UTF-8.
        attempt("names that are not UTF-8") {
            try folder.makeFile([0xff, 0xfe, UInt8(ascii: "x")], [1])
            try folder.makeFile([0xc3, 0x28], [1])
            try folder.makeFile([UInt8](repeating: 0x80, count: 255), [1])
            try folder.makeFolder([0xed, 0xa0, 0x80]).makeFile([0xff], [1])
        }
        // Orders of plain strings and of paths differ here.
        for name in ["a", "a-b", "a.b", "a b"] {
            let sub = try folder.makeFolder("order-" + name)
            try sub.makeFile("b", Array(name.utf8))
            try sub.makeFolder("b-").makeFile("c", [1])
        }
        try folder.makeFile("order-a.txt", [1])
        try folder.makeFile("order-a-", [1])
    }

    private mutating func links(_ folder: Folder) throws {
        try folder.makeFile("first", generator.bytes(100_000))
        let below = try folder.makeFolder("below")
        try folder.link("first", to: below, "second")
        try folder.link("first", to: folder, "third")
        try folder.makeFile("empty", [])
        try folder.link("empty", to: below, "also-empty")
        let long = String(repeating: "../", count: 1_000) + "end"
        let targets = [
            "relative": "first", "absolute": "/etc/hostname", "dangling": "nowhere", "loop": "loop", "folder": "below",
            "up": "../../..", "long": long, "controls": "a\nb\u{1b}",
        ]
        for (name, target) in targets { try folder.makeSymlink(name, Array(target.utf8)) }
        attempt("a symlink to what is not UTF-8") { try folder.makeSymlink("bytes", [0xff, 0x2f, 0xfe]) }
        attempt("a hard link to a symlink") { try folder.link("dangling", to: below, "dangling-too") }
    }

    private mutating func specialFiles(_ folder: Folder) throws {
        try folder.makeNode("fifo", S_IFIFO | 0o640)
        attempt("a socket") { try folder.makeNode("socket", S_IFSOCK | 0o755) }
        attempt("a hard-linked fifo") { try folder.link("fifo", to: folder, "fifo-too") }
        // 1:3 and 7:200 of Linux: the null device and a loop device that need not exist; a minor above 255 as well.
        attempt("a character device") { try folder.makeNode("null", S_IFCHR | 0o666, device: 1 << 8 | 3) }
        attempt("a block device") { try folder.makeNode("loop", S_IFBLK | 0o660, device: 7 << 8 | 200) }
        attempt("a large minor number") { try folder.makeNode("large", S_IFCHR | 0o600, device: 0x1234_0512) }
    }

    private mutating func sparseFiles(_ folder: Folder) throws {
        attempt("a sparse file of 1 TiB") {
            let file = try folder.makeFile("huge", Array("begin".utf8))
            try file.write(Array("middle".utf8), at: 1 << 39)
            try file.truncate(to: 1 << 40)
        }
        for size: Int64 in [100, 8 << 10, 100 << 10, 10 << 20] {
            try folder.makeFile("only-a-hole-\(size)", []).truncate(to: size)
        }
        // The hole of a small file lies behind its data, before it, and between.
        try folder.makeFile("hole-at-the-end", generator.bytes(5_000)).truncate(to: 100 << 10)
        try folder.makeFile("hole-at-the-beginning", []).write(generator.bytes(5_000), at: 64 << 10)
        try folder.makeFile("hole-between", generator.bytes(5_000)).write(generator.bytes(5_000), at: 64 << 10)
        try folder.makeFile("data-at-the-end", []).write(generator.bytes(10_000), at: 3 << 20)
        let islands = try folder.makeFile("islands", [])
        for index in 0..<200 { try islands.write([UInt8(index)], at: Int64(index) << 17) }
    }

    private mutating func modes(_ folder: Folder) throws {
        for mode: mode_t in [0o4755, 0o2755, 0o6711, 0o1644, 0o777, 0o400, 0o444] {
            let name = "file-" + String(mode, radix: 8)
            try folder.makeFile(name, [1])
            try folder.change(name, mode: mode)
        }
        if geteuid() == 0 {
            try folder.makeFile("file-0", [1])
            try folder.change("file-0", mode: 0)
        }
        for mode: mode_t in [0o2770, 0o1777, 0o500, 0o555, 0o711] {
            let name = "folder-" + String(mode, radix: 8)
            try folder.makeFolder(name).makeFile("inside", [1])
            try folder.change(name, mode: mode)
        }
    }

    private mutating func attributes(_ folder: Folder) throws {
        #if os(Linux)
            let names = ["few", "binary", "large", "many", "too-large"]
            for name in names { try folder.makeFile(name, [1]) }
            attempt("extended attributes") {
                try folder.setAttribute("few", "user.plain", Array("value".utf8))
                try folder.setAttribute("few", "user.empty", [])
                try folder.setAttribute("binary", "user.binary", [0, 0xff, 10, 0])
                try folder.setAttribute("large", "user.large", [UInt8](repeating: 7, count: 3_000))
                for index in 0..<40 { try folder.setAttribute("many", "user.number-\(index)", [UInt8(index)]) }
                try folder.makeFolder("on-a-folder")
                try folder.setAttribute("on-a-folder", "user.folder", [1])
            }
            // Fits only where the file system stores large values outside of the inode's block.
            attempt("attributes above 4 KiB") {
                try folder.setAttribute("too-large", "user.huge", [UInt8](repeating: 8, count: 20_000))
            }
            attempt("access control lists") {
                let list = AccessControlList(
                    userObject: 6,
                    users: [12_345: 4, 12_346: 0],
                    groupObject: 4,
                    mask: 4,
                    other: 0
                )
                try folder.makeFile("access-list", [1])
                try folder.setAttribute("access-list", "system.posix_acl_access", list.bytes)
                let below = try folder.makeFolder("default-list")
                // Also made after the default list, so they inherit it; and one that has shed it.
                try folder.setAttribute("default-list", "system.posix_acl_default", list.bytes)
                try below.makeFile("inherits", [1])
                try below.makeFile("shed", [1])
                try below.removeAttribute("shed", "system.posix_acl_access")
                try below.makeFolder("sub").makeFile("inherits", [1])
            }
            attempt("attributes of root") {
                try folder.makeFile("trusted", [1])
                try folder.setAttribute("trusted", "trusted.hawser", [1, 2, 3])
                try folder.makeSymlink("link", Array("trusted".utf8))
                try folder.setAttribute("link", "trusted.on-a-symlink", [4])
            }
            // A change of owner drops capabilities, so a restore must set them after it.
            attempt("file capabilities") {
                let capabilities: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                try folder.makeFile("capable", [1])
                try folder.setAttribute("capable", "security.capability", capabilities)
            }
            attempt("an immutable file") {
                try folder.makeFile("immutable", [1])
                try folder.setFlags("immutable", 0x10)
            }
            attempt("an append-only file") {
                try folder.makeFile("append-only", [1])
                try folder.setFlags("append-only", 0x20)
            }
        #endif
    }

    private mutating func owners(_ folder: Folder) throws {
        try folder.makeFile("someone", [1])
        try folder.makeFile("someone-set-id", [1])
        try folder.makeSymlink("link", Array("someone".utf8))
        attempt("files of others") {
            for name in ["someone", "someone-set-id", "link"] { try folder.change(name, owner: 12_345, group: 54_321) }
            // Large ids are not negative numbers.
            try folder.makeFile("largest", [1])
            try folder.change("largest", owner: 4_294_967_294, group: 4_294_967_294)
        }
        // After the owner, because a change of owner clears these bits.
        try folder.change("someone-set-id", mode: 0o6755)
    }

    /// Longer than the 4,096 bytes that one system call takes.
    private mutating func deepPath(_ folder: Folder) throws {
        var folder = folder
        for level in 0..<20 {
            folder = try folder.makeFolder("\(level)-" + String(repeating: "d", count: 240))
        }
        try folder.makeFile("at-the-bottom", generator.bytes(1_000))
    }

    private mutating func crowd(_ folder: Folder) throws {
        for index in 0..<(TestScale.isFull ? 100_000 : 2_000) {
            try folder.makeFile("file-\(index)", Array("\(index)".utf8))
        }
    }

    private mutating func times(_ folder: Folder) throws {
        // Seconds and nanoseconds: before 1970, the last moment before it, after 2038, after 2106, no whole microsecond.
        let moments: [(Int, Int)] = [
            (-2_000_000_000, 1), (-1, 999_999_999), (0, 0), (0, 1), (2_147_483_648, 5), (4_294_967_296, 123_456_789),
            (1_700_000_000, 999_999_999),
        ]
        for (index, (seconds, nanoseconds)) in moments.enumerated() {
            let moment = (seconds: seconds, nanoseconds: nanoseconds)
            try folder.makeFile("file-\(index)", [1])
            try folder.change("file-\(index)", modified: moment)
            try folder.makeFolder("folder-\(index)").makeFile("inside", [1])
            try folder.change("folder-\(index)", modified: moment)
            try folder.makeSymlink("link-\(index)", Array("nowhere".utf8))
            try folder.change("link-\(index)", modified: moment)
        }
    }
}

/// A POSIX access control list as Linux stores it in an attribute (linux/posix_acl_xattr.h).
private struct AccessControlList {
    var userObject: UInt16
    var users: KeyValuePairs<UInt32, UInt16>
    var groupObject: UInt16
    var mask: UInt16
    var other: UInt16

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        func append<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        func append(tag: UInt16, _ permissions: UInt16, id: UInt32 = .max) {
            append(tag)
            append(permissions)
            append(id)
        }
        append(UInt32(2))
        append(tag: 0x01, userObject)
        for (id, permissions) in users { append(tag: 0x02, permissions, id: id) }
        append(tag: 0x04, groupObject)
        append(tag: 0x10, mask)
        append(tag: 0x20, other)
        return bytes
    }
}
