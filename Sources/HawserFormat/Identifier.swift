/// 32 bytes that name something: the keyed hash of a chunk, or the SHA-256 of an object.
///
/// The tag keeps the two apart at compile time. Order is that of the bytes.
public struct Identifier<Tag>: Sendable {
    // Big-endian words, so that comparing words compares bytes.
    @usableFromInline let words: (UInt64, UInt64, UInt64, UInt64)

    public static var byteCount: Int { 32 }

    /// - Precondition: `bytes` holds 32 bytes.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == Self.byteCount)
        words = (
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        )
    }

    /// `nil` unless there are exactly 32 bytes.
    public init?(_ bytes: some Sequence<UInt8>) {
        let copy = Array(bytes)
        guard copy.count == Self.byteCount else { return nil }
        self = copy.withUnsafeBytes { Self($0) }
    }

    /// `nil` unless `hex` is 64 lowercase hexadecimal digits.
    public init?(hex: some StringProtocol) {
        guard let bytes = [UInt8](hex: hex) else { return nil }
        self.init(bytes)
    }

    public var bytes: [UInt8] {
        withUnsafeBytes { Array($0) }
    }

    public var hex: String { bytes.hex }

    /// The first word: evenly distributed for hashes, so it serves filters and buckets.
    @inlinable public var prefix64: UInt64 { words.0 }
    @inlinable public var second64: UInt64 { words.1 }

    @inlinable
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let bigEndian = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        return try Swift.withUnsafeBytes(of: bigEndian, body)
    }
}

extension Identifier: Hashable, Comparable {
    @inlinable
    public static func == (left: Self, right: Self) -> Bool {
        left.words == right.words
    }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool {
        left.words < right.words
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

extension Identifier: CustomStringConvertible {
    public var description: String { hex }
}

public enum ChunkTag {}
public enum ObjectTag {}

/// The keyed hash (HMAC-SHA-256) of a chunk's bytes.
public typealias ChunkID = Identifier<ChunkTag>

/// The SHA-256 of an object's bytes; also what the object is called.
public typealias ObjectName = Identifier<ObjectTag>

extension [UInt8] {
    /// `nil` unless `hex` is an even number of lowercase hexadecimal digits.
    public init?(hex: some StringProtocol) {
        let digits = Array(hex.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        self = []
        reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.nibble(digits[index]), let low = Self.nibble(digits[index + 1]) else { return nil }
            append(high << 4 | low)
        }
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

extension Sequence<UInt8> {
    /// Lowercase hexadecimal digits, two a byte.
    public var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
