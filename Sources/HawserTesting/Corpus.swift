/// Contents for tests: the same for the same arguments on every machine.
public enum Corpus {
    /// Bytes that no compressor shrinks.
    public static func incompressible(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            var offset = 0
            while offset + 8 <= count {
                raw.storeBytes(of: generator.next().littleEndian, toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            var rest = generator.next()
            while offset < count {
                raw[offset] = UInt8(truncatingIfNeeded: rest)
                rest >>= 8
                offset += 1
            }
            initialized = count
        }
    }

    /// Records of 64 bytes that differ in few places: shrinks to about a fifth.
    public static func compressible(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        let record = incompressible(64, seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + record.count)
        while bytes.count < count {
            let start = bytes.count
            bytes += record
            let number = generator.next()
            for index in 0..<6 { bytes[start + 8 + index] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(index))) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Lines of words, ASCII.
    public static func text(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 16)
        var column = 0
        while bytes.count < count {
            // Small numbers are frequent, as frequent words are.
            let rank = Int(generator.next() % 8) * Int(generator.next() % 8)
            let word = words[rank % words.count].utf8
            bytes += word
            column += word.count + 1
            bytes.append(UInt8(ascii: column > 72 ? "\n" : " "))
            if column > 72 { column = 0 }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    private static let words = [
        "the", "rope", "ship", "of", "and", "a", "to", "anchor", "in", "harbour", "tide", "is", "was", "mast", "for",
        "deck", "on", "bollard", "with", "quay", "at", "chain", "by", "storm", "from", "lantern", "or", "hawser", "an",
        "pilot", "sail", "keel", "crew", "cargo", "watch", "wind", "wave", "bell", "north", "south", "island", "coast",
    ]

    /// `bytes` with one bit changed.
    /// - Parameter bit: counted from the beginning; taken modulo the number of bits. Empty bytes stay as they are.
    public static func flipping(bit: Int, of bytes: [UInt8]) -> [UInt8] {
        guard !bytes.isEmpty else { return bytes }
        var changed = bytes
        let index = Int(bit.magnitude % UInt(bytes.count * 8))
        changed[index / 8] ^= 1 << UInt8(index % 8)
        return changed
    }
}
