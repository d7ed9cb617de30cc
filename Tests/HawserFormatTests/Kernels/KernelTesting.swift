import HawserFormat

/// SplitMix64: known bytes for tests and golden vectors.
struct KnownGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// The little-endian bytes of the numbers, one after the other.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { bytes.append(integer: next()) }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = KnownGenerator(state: seed)
        return generator.bytes(count)
    }
}

extension [UInt8] {
    /// `count` bytes: first, first + 1 …
    static func counting(from first: UInt8, count: Int = 32) -> [UInt8] {
        (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    /// Text with repetitions.
    static func text(_ count: Int) -> [UInt8] {
        var text: [UInt8] = []
        var number = 0
        while text.count < count {
            text += Array("line \(number) of \(number &* 2_654_435_761 % 1000)\n".utf8)
            number += 1
        }
        return Array(text.prefix(count))
    }
}
