import Testing

@testable import HawserFormat

struct ChunkerTests {
    static let secret = [UInt8].counting(from: 0)
    static let small = ChunkerParameters(kind: .gear64, minimum: 1 << 10, average: 1 << 12, maximum: 1 << 14)

    /// The lengths of the chunks of `bytes`, given in buffers of the lengths that `split` yields; the last may be short.
    static func lengths(
        of bytes: [UInt8],
        _ parameters: ChunkerParameters,
        secret: [UInt8] = secret,
        split: () -> Int = { .max }
    ) -> [Int] {
        var chunker = Chunker(parameters: parameters, secret: secret)
        var lengths: [Int] = []
        var length = 0
        bytes.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                var buffer = UnsafeRawBufferPointer(rebasing: rest.prefix(split()))
                rest = UnsafeRawBufferPointer(rebasing: rest[buffer.count...])
                while let cut = chunker.cut(buffer) {
                    lengths.append(length + cut)
                    length = 0
                    buffer = UnsafeRawBufferPointer(rebasing: buffer[cut...])
                }
                length += buffer.count
            }
        }
        return length > 0 ? lengths + [length] : lengths
    }

    /// The rule of `docs/format.md`, byte by byte, without any of the kernel's tricks.
    static func referenceLengths(of bytes: [UInt8], _ parameters: ChunkerParameters, table: [UInt64]) -> [Int] {
        var lengths: [Int] = []
        var start = 0
        let bits = UInt64(parameters.average.trailingZeroBitCount)
        while start < bytes.count {
            var hash: UInt64 = 0
            var length = 0
            for byte in bytes[start...] {
                hash = hash << 1 &+ table[Int(byte)]
                length += 1
                let threshold: UInt64 = 1 << (length < parameters.average ? 62 - bits : 66 - bits)
                if length == parameters.maximum || (length >= parameters.minimum && hash < threshold) { break }
            }
            lengths.append(length)
            start += length
        }
        return lengths
    }

    @Test func cutsWhereTheRuleSays() {
        let bytes = KnownGenerator.bytes(300_000, seed: 1) + [UInt8](repeating: 7, count: 60_000)
        let table = GearTable(secret: Self.secret).words
        #expect(Self.lengths(of: bytes, Self.small) == Self.referenceLengths(of: bytes, Self.small, table: table))
        // An average at which the lanes of the scan run in both phases.
        let wide = ChunkerParameters(kind: .gear64, minimum: 1 << 10, average: 1 << 15, maximum: 1 << 18)
        #expect(Self.lengths(of: bytes, wide) == Self.referenceLengths(of: bytes, wide, table: table))
    }

    @Test(arguments: [1, 63, 64, 65, 1023, 4096, 20_000])
    func cutsDoNotDependOnBuffers(most: Int) {
        let bytes = KnownGenerator.bytes(120_000, seed: 2)
        let whole = Self.lengths(of: bytes, Self.small)
        var generator = KnownGenerator(state: UInt64(most))
        #expect(Self.lengths(of: bytes, Self.small) { Int.random(in: 1...most, using: &generator) } == whole)
        #expect(Self.lengths(of: bytes, .fixed(5000)) { most } == Array(repeating: 5000, count: 24))
    }

    @Test func lengthsAreWithinTheirBounds() {
        let bytes = KnownGenerator.bytes(500_000, seed: 3)
        let lengths = Self.lengths(of: bytes, Self.small)
        #expect(lengths.reduce(0, +) == bytes.count)
        #expect(lengths.dropLast().allSatisfy { (1 << 10)...(1 << 14) ~= $0 })
        let mean = bytes.count / lengths.count
        #expect((3500...6000).contains(mean))
        #expect(lengths.max() ?? 0 < 1 << 14)
    }

    @Test func aChangeMovesOnlyNearbyCuts() {
        let bytes = KnownGenerator.bytes(200_000, seed: 4)
        let before = Set(Self.ends(Self.lengths(of: bytes, Self.small)).map { bytes.count - $0 })
        let changed = [1, 2, 3] + bytes
        let after = Set(Self.ends(Self.lengths(of: changed, Self.small)).map { changed.count - $0 })
        #expect(before.subtracting(after).count <= 8)
    }

    static func ends(_ lengths: [Int]) -> [Int] {
        var end = 0
        return lengths.map { length in
            end += length
            return end
        }
    }

    @Test func cutsDependOnTheSecret() {
        let bytes = KnownGenerator.bytes(100_000, seed: 5)
        let other = Self.lengths(of: bytes, Self.small, secret: .counting(from: 1))
        #expect(Self.lengths(of: bytes, Self.small) != other)
    }

    @Test func resetForgetsTheCurrentChunk() {
        let bytes = KnownGenerator.bytes(60_000, seed: 6)
        var chunker = Chunker(parameters: Self.small, secret: Self.secret)
        let first = bytes.withUnsafeBytes { chunker.cut($0) }
        bytes.prefix(900).withUnsafeBytes { #expect(chunker.cut($0) == nil) }
        chunker.reset()
        #expect(bytes.withUnsafeBytes { chunker.cut($0) } == first)
        #expect(chunker.cut(UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    }

    @Test func refusesLengthsThatAreOutOfRange() throws {
        try ChunkerParameters.files.validate()
        try ChunkerParameters.fixed(1 << 20).validate()
        try ChunkerParameters.fixed(4 << 20).validate()
        let refused: [[Int]] = [
            [0, 1_048_576, 4_194_304], [-1, -1, -1], [1_048_576, 524_288, 4_194_304], [1024, 3072, 4_194_304],
            [1024, 1_048_576, 1_073_741_824], [.min, 1_048_576, .max], [1024, 4_194_304, 1_048_576],
        ]
        for lengths in refused {
            let parameters = ChunkerParameters(
                kind: .gear64,
                minimum: lengths[0],
                average: lengths[1],
                maximum: lengths[2]
            )
            #expect(throws: HawserError.self) { try parameters.validate() }
        }
        #expect(throws: HawserError.self) { try ChunkerParameters.fixed(0).validate() }
        #expect(throws: HawserError.self) {
            try ChunkerParameters(kind: .fixed, minimum: 2048, average: 4096, maximum: 4096).validate()
        }
    }
}
