internal import Crypto

/// The frame of objects that the provider reads without keys: `header 16 | content | SHA-256 of all before it 32`.
///
/// The checksum finds damage where an object is read without its name at hand; it is no protection against an attacker,
/// who can name whatever he stores.
enum ClearObject {
    static func encode(_ kind: HeaderKind, _ appendContent: (inout [UInt8]) throws -> Void) rethrows -> [UInt8] {
        var bytes = ObjectHeader(kind: kind, suite: ObjectHeader.clearSuite).bytes
        try appendContent(&bytes)
        bytes += SHA256.hash(data: bytes)
        return bytes
    }

    /// A reader of the content, which must be read to its end.
    static func reader(_ object: [UInt8], kind: HeaderKind) throws -> ByteReader {
        var reader = ByteReader(object)
        let header = try ObjectHeader(&reader, kind: kind, suite: ObjectHeader.clearSuite)
        guard header.epoch == 0, reader.remaining >= SHA256.byteCount else {
            throw HawserError(.damaged, "The object ends too early.")
        }
        let content = object.dropLast(SHA256.byteCount)
        guard SHA256.hash(data: content).elementsEqual(object.suffix(SHA256.byteCount)) else {
            throw HawserError(.damaged, "The object's bytes were changed: its checksum is wrong.")
        }
        return ByteReader(content.dropFirst(ObjectHeader.byteCount))
    }
}
