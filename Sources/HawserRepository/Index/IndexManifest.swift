import Crypto
import HawserFormat

/// What the cached index consists of: the segments that it covers, its packs by number, and its run files.
struct IndexManifest: Equatable {
    var segments: Set<ObjectName> = []
    /// Segments that a covered segment replaces.
    var replaced: Set<ObjectName> = []
    /// A record's pack number counts from 0 here.
    var packs: [PackReference] = []
    var runs: [String] = []

    private static let magic = Array("hawser cache manifest 1\n".utf8)

    func encode(key: SymmetricKey) -> [UInt8] {
        var bytes = Self.magic
        for names in [segments, replaced] {
            bytes.append(varint: UInt64(names.count))
            for name in names.sorted() { bytes.append(identifier: name) }
        }
        bytes.append(varint: UInt64(packs.count))
        for pack in packs {
            bytes.append(pack.isMetadata ? 1 : 0)
            bytes.append(identifier: pack.name)
            bytes.append(integer: pack.length)
        }
        bytes.append(varint: UInt64(runs.count))
        for run in runs { bytes.append(counted: run.utf8) }
        return bytes + Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
    }

    init() {}

    init(_ bytes: [UInt8], key: SymmetricKey) throws {
        let body = bytes.dropLast(SHA256.byteCount)
        guard HMAC<SHA256>.isValidAuthenticationCode(bytes[body.endIndex...], authenticating: body, using: key) else {
            throw HawserError(.damaged, "The manifest of the cached index is damaged.")
        }
        var reader = ByteReader(body)
        guard try Array(reader.read(count: Self.magic.count)) == Self.magic else {
            throw HawserError(.unsupported, "The cached index is of another version.")
        }
        segments = try Set(reader.readNames())
        replaced = try Set(reader.readNames())
        let packCount = try reader.readLength(limit: reader.remaining)
        packs.reserveCapacity(packCount)
        for _ in 0..<packCount {
            let isMetadata = try reader.read(UInt8.self) != 0
            let name: ObjectName = try reader.readIdentifier()
            packs.append(PackReference(name: name, length: try reader.read(), isMetadata: isMetadata))
        }
        for _ in 0..<(try reader.readLength(limit: reader.remaining)) {
            runs.append(String(decoding: try reader.readBytes(limit: 255), as: UTF8.self))
        }
    }
}

extension ByteReader {
    fileprivate mutating func readNames() throws -> [ObjectName] {
        try (0..<readLength(limit: remaining / ObjectName.byteCount)).map { _ in try readIdentifier() }
    }
}
