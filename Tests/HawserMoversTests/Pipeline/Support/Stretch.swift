import HawserTesting

/// A part of a generated file's content: computed when it is read, so that a file of any length needs no memory.
enum Stretch: Sendable, Hashable {
    /// What no compressor shrinks much; other bytes for each seed.
    case noise(seed: UInt64, length: UInt64)
    /// Shrinks to a thousandth; other bytes for each seed.
    case dull(seed: UInt64, length: UInt64)
    case zeros(length: UInt64)
    case hole(length: UInt64)

    var length: UInt64 {
        switch self {
        case .noise(_, let length), .dull(_, let length), .zeros(let length), .hole(let length): length
        }
    }

    var isHole: Bool {
        if case .hole = self { return true }
        return false
    }

    private static let table = Corpus.incompressible(4 << 20, seed: 4711)
    private static let block = 64 << 10

    func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) {
        switch self {
        case .zeros, .hole:
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
        case .noise(let seed, _):
            Self.table.withUnsafeBytes { table in
                Self.forEachBlock(buffer, offset, seed) { part, within, mark in
                    let start = Int(mark % UInt64(table.count - Self.block))
                    part.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: table[(start + within)...].prefix(part.count))
                    )
                }
            }
        case .dull(let seed, _):
            buffer.initializeMemory(as: UInt8.self, repeating: 0x55)
            Self.forEachBlock(buffer, offset, seed) { _, _, _ in }
        }
    }

    /// Marks the beginning of each block with eight bytes of its own.
    private static func forEachBlock(
        _ buffer: UnsafeMutableRawBufferPointer,
        _ offset: UInt64,
        _ seed: UInt64,
        _ body: (UnsafeMutableRawBufferPointer, Int, UInt64) -> Void
    ) {
        var done = 0
        while done < buffer.count {
            let position = offset + UInt64(done)
            let number = position / UInt64(block)
            let within = Int(position % UInt64(block))
            let count = min(block - within, buffer.count - done)
            var generator = SplitMix64(seed: seed &* 0x1_0000_0001 &+ number)
            let mark = generator.next()
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
            body(part, within, mark)
            for index in 0..<count where within + index < 8 {
                part[index] = UInt8(truncatingIfNeeded: mark >> UInt64(8 * (within + index)))
            }
            // Only the first bytes are marked.
            done += count
        }
    }
}

extension [Stretch] {
    var length: UInt64 { reduce(0) { $0 + $1.length } }

    /// - Returns: fewer bytes than the buffer has only at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        var start: UInt64 = 0
        var done = 0
        for stretch in self {
            let end = start + stretch.length
            let position = offset + UInt64(done)
            if position < end, done < buffer.count {
                let count = Int(Swift.min(UInt64(buffer.count - done), end - position))
                stretch.fill(
                    UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count]),
                    at: position - start
                )
                done += count
            }
            start = end
        }
        return done
    }

    func bytes(at offset: UInt64, count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        }
    }

    func nextData(from offset: UInt64) -> Range<UInt64>? {
        var start: UInt64 = 0
        var found: Range<UInt64>?
        for stretch in self {
            let end = start + stretch.length
            defer { start = end }
            if stretch.isHole {
                if found != nil { return found }
            } else if end > offset {
                found = (found?.lowerBound ?? Swift.max(start, offset))..<end
            }
        }
        return found
    }
}
