import Hawser

/// The pax interchange format of POSIX.1-2017 (`pax`, "EXTENDED DESCRIPTION"): ustar headers, with extended headers for what does not
/// fit into them. Files with holes are in GNU tar's sparse format 1.0.
enum TarArchive {
    static let block = 512
    /// The longest value of an octal field of 12 bytes.
    private static let sizeLimit: UInt64 = 0o777_7777_7777
    /// Of an octal field of 8 bytes.
    private static let numberLimit: UInt64 = 0o777_7777

    /// Two empty blocks.
    static let end = [UInt8](repeating: 0, count: 2 * block)

    static func padding(after size: UInt64) -> [UInt8] {
        let rest = Int(size % UInt64(block))
        return [UInt8](repeating: 0, count: rest == 0 ? 0 : block - rest)
    }

    /// - Parameters:
    ///   - link: the entry is another name of this one.
    ///   - sparse: of a file with holes; its map and then its data follow.
    static func header(of entry: Entry, linkedTo link: EntryPath?, sparse: SparseMap? = nil) -> [UInt8] {
        var records = PaxRecords()
        var fields = UstarFields()
        var path = entry.path.bytes
        if entry.kind == .directory { path.append(UInt8(ascii: "/")) }
        if let sparse {
            records.add("GNU.sparse.major", Array("1".utf8))
            records.add("GNU.sparse.minor", Array("0".utf8))
            records.add("GNU.sparse.name", path)
            records.add("GNU.sparse.realsize", Array(String(entry.size).utf8))
            // What programs that know nothing of it call the file; it then begins with the map.
            fields.name = Array("GNUSparseFile.0/".utf8) + entry.path.name.prefix(80)
            fields.size = records.number(sparse.storedLength, limit: sizeLimit, "size")
        } else {
            fields.name = records.text(path, limit: 100, "path")
        }
        if let target = link?.bytes ?? (entry.kind == .symlink ? entry.linkTarget : nil) {
            fields.linkName = records.text(target, limit: 100, "linkpath")
        }
        fields.kind = kind(entry, isLink: link != nil)
        fields.mode = UInt64(entry.mode)
        fields.user = records.number(UInt64(entry.userID), limit: numberLimit, "uid")
        fields.group = records.number(UInt64(entry.groupID), limit: numberLimit, "gid")
        if entry.kind == .file, link == nil, sparse == nil {
            fields.size = records.number(entry.size, limit: sizeLimit, "size")
        }
        let seconds = entry.modified.seconds
        if seconds >= 0, UInt64(seconds) <= sizeLimit { fields.modified = UInt64(seconds) }
        if seconds < 0 || UInt64(seconds) > sizeLimit || entry.modified.nanoseconds != 0 {
            records.add("mtime", decimal(entry.modified))
        }
        fields.userName = records.text(entry.userName, limit: 31, "uname")
        fields.groupName = records.text(entry.groupName, limit: 31, "gname")
        if let device = entry.device {
            fields.major = min(UInt64(device.major), numberLimit)
            fields.minor = min(UInt64(device.minor), numberLimit)
        }
        // As star began it, and GNU tar, bsdtar and Go read it.
        for attribute in entry.attributes where link == nil {
            records.add("SCHILY.xattr." + String(decoding: attribute.name, as: UTF8.self), attribute.value)
        }
        if records.bytes.isEmpty { return fields.block }
        var extended = UstarFields()
        extended.name = Array("PaxHeaders/".utf8) + fields.name.prefix(80)
        extended.kind = UInt8(ascii: "x")
        extended.mode = 0o644
        extended.size = UInt64(records.bytes.count)
        extended.modified = fields.modified
        return extended.block + records.bytes + padding(after: UInt64(records.bytes.count)) + fields.block
    }

    private static func kind(_ entry: Entry, isLink: Bool) -> UInt8 {
        if isLink { return UInt8(ascii: "1") }
        return switch entry.kind {
        case .file, .socket: UInt8(ascii: "0")
        case .symlink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        }
    }

    /// Seconds with nine decimals, toward minus infinity before 1970 as well: -0.5 is second -1 and a half.
    private static func decimal(_ time: Timestamp) -> [UInt8] {
        var whole = time.seconds
        var part = time.nanoseconds
        if whole < 0, part > 0 {
            whole += 1
            part = 1_000_000_000 - part
        }
        let digits = String(part)
        let sign = time.seconds < 0 ? "-" : ""
        return Array("\(sign)\(whole.magnitude).\(String(repeating: "0", count: 9 - digits.utf8.count))\(digits)".utf8)
    }
}

/// Records of an extended header: `LENGTH KEY=VALUE` and a newline; the length counts itself.
private struct PaxRecords {
    private(set) var bytes: [UInt8] = []
    private var isBinary = false

    mutating func add(_ key: String, _ value: [UInt8]) {
        let rest = 1 + key.utf8.count + 1 + value.count + 1
        var length = rest + 1
        while String(length).utf8.count + rest != length { length = String(length).utf8.count + rest }
        bytes += Array("\(length) \(key)=".utf8) + value + [UInt8(ascii: "\n")]
    }

    /// What goes into the field: the text, or the beginning of one that stands in a record.
    mutating func text(_ value: [UInt8], limit: Int, _ key: String) -> [UInt8] {
        let isUTF8 = String(validating: value, as: UTF8.self) != nil
        let isASCII = value.allSatisfy { $0 < 0x80 }
        // What is not UTF-8 is best off in the field, which is bytes: GNU tar does not know `hdrcharset` and says so.
        if value.count <= limit, isASCII || !isUTF8 { return value }
        if !isUTF8, !isBinary {
            isBinary = true
            add("hdrcharset", Array("BINARY".utf8))
        }
        add(key, value)
        return Array(value.prefix(limit))
    }

    mutating func number(_ value: UInt64, limit: UInt64, _ key: String) -> UInt64 {
        if value <= limit { return value }
        add(key, Array(String(value).utf8))
        return 0
    }
}

/// A header block of ustar.
private struct UstarFields {
    var name: [UInt8] = []
    var linkName: [UInt8] = []
    var kind = UInt8(ascii: "0")
    var mode: UInt64 = 0
    var user: UInt64 = 0
    var group: UInt64 = 0
    var size: UInt64 = 0
    var modified: UInt64 = 0
    var userName: [UInt8] = []
    var groupName: [UInt8] = []
    var major: UInt64 = 0
    var minor: UInt64 = 0

    var block: [UInt8] {
        var block: [UInt8] = []
        block.reserveCapacity(512)
        func append(_ text: [UInt8], _ width: Int) {
            block += text.prefix(width)
            block += repeatElement(0, count: max(0, width - text.count))
        }
        /// Octal digits, with one byte left for the end.
        func append(_ number: UInt64, _ width: Int) {
            let digits = String(number, radix: 8)
            block += repeatElement(UInt8(ascii: "0"), count: max(0, width - 1 - digits.utf8.count))
            block += digits.utf8
            block.append(0)
        }
        append(name, 100)
        append(mode, 8)
        append(user, 8)
        append(group, 8)
        append(size, 12)
        append(modified, 12)
        let checksum = block.count
        append(Array("        ".utf8), 8)
        block.append(kind)
        append(linkName, 100)
        append(Array("ustar".utf8), 6)
        append(Array("00".utf8), 2)
        append(userName, 32)
        append(groupName, 32)
        append(major, 8)
        append(minor, 8)
        append([], 155 + 12)
        let digits = Array(String(block.reduce(0) { $0 + Int($1) }, radix: 8).utf8)
        let field =
            [UInt8](repeating: UInt8(ascii: "0"), count: max(0, 6 - digits.count)) + digits + [0, UInt8(ascii: " ")]
        block.replaceSubrange(checksum..<checksum + 8, with: field)
        return block
    }
}
