import HawserFormat
import Testing

struct CompressorTests {
    static let methods: [CompressionMethod] = [.auto, .off, .lz4, .zstd(level: 1), .zstd(level: 9)]
    static let samples: [[UInt8]] = [
        [], [0], .text(100), .text(4000), .text(40_000), .text(200_000), KnownGenerator.bytes(3000, seed: 1),
        KnownGenerator.bytes(100_000, seed: 2), [UInt8](repeating: 0, count: 300_000),
        KnownGenerator.bytes(50_000, seed: 3) + .text(50_000),
    ]

    @Test(arguments: methods)
    func unpacksWhatItPacked(method: CompressionMethod) throws {
        let compressor = Compressor(method: method)
        var packed: [UInt8] = [1, 2, 3]
        var plain: [UInt8] = [4]
        for sample in Self.samples + Self.samples.reversed() {
            sample.withUnsafeBytes { compressor.compress($0, into: &packed) }
            #expect(packed.count <= sample.count + Compressor.overhead)
            try packed.withUnsafeBytes { packed in
                try compressor.decompress(packed, plainLength: sample.count, into: &plain)
                #expect(plain == sample)
                #expect(try sample.withUnsafeBytes { try compressor.matches(packed, plain: $0) })
            }
        }
    }

    @Test func textShrinksAndRandomBytesAreStored() {
        var packed: [UInt8] = []
        for (method, marker) in [(CompressionMethod.auto, 2), (.lz4, 1), (.zstd(level: 3), 2), (.off, 0)] {
            let compressor = Compressor(method: method)
            [UInt8].text(50_000).withUnsafeBytes { compressor.compress($0, into: &packed) }
            #expect(packed.first == UInt8(marker))
            #expect((packed.count < 20_000) == (method != .off))
            KnownGenerator.bytes(50_000, seed: 1).withUnsafeBytes { compressor.compress($0, into: &packed) }
            #expect(packed.first == 0)
            #expect(packed.count == 50_001)
        }
    }

    @Test func outputKeepsItsMemory() {
        let compressor = Compressor(method: .auto)
        var packed: [UInt8] = []
        [UInt8].text(60_000).withUnsafeBytes { compressor.compress($0, into: &packed) }
        let before = packed.withUnsafeBytes { $0.baseAddress }
        [UInt8].text(50_000).withUnsafeBytes { compressor.compress($0, into: &packed) }
        #expect(packed.withUnsafeBytes { $0.baseAddress } == before)
    }

    @Test(arguments: [CompressionMethod.auto, .lz4, .off])
    func damageIsAnError(method: CompressionMethod) {
        let compressor = Compressor(method: method)
        let sample = [UInt8].text(3000)
        var packed: [UInt8] = []
        var plain: [UInt8] = []
        sample.withUnsafeBytes { compressor.compress($0, into: &packed) }
        func unpack(_ bytes: [UInt8], _ length: Int) throws(any Error) {
            try bytes.withUnsafeBytes { try compressor.decompress($0, plainLength: length, into: &plain) }
        }
        for length in [0, 1, 2999, 3001, 1 << 20, -1, .min, .max, 1 << 24] {
            #expect(throws: HawserError.self) { try unpack(packed, length) }
        }
        for count in 0..<packed.count {
            #expect(throws: HawserError.self) { try unpack(Array(packed.prefix(count)), sample.count) }
        }
        #expect(throws: HawserError.self) { try unpack(packed + [0], sample.count) }
        // Flipped bits give an error or bytes of the right length: then the tag or the id tells.
        for index in packed.indices {
            var flipped = packed
            flipped[index] ^= 1 << UInt8(index % 8)
            let unpacked = (try? unpack(flipped, sample.count)).map { plain }
            let matches = try? flipped.withUnsafeBytes { flipped in
                try sample.withUnsafeBytes { try compressor.matches(flipped, plain: $0) }
            }
            #expect(unpacked.map { $0.count == sample.count } ?? true)
            #expect((matches ?? false) == (unpacked == sample))
        }
        for seed in 0..<300 {
            var bytes = KnownGenerator.bytes(1 + seed, seed: UInt64(seed))
            bytes[0] %= 4
            #expect(throws: HawserError.self) { try unpack(bytes, 70_000) }
        }
    }

    @Test func methodsHaveNames() {
        for text in ["auto", "off", "lz4", "zstd:1", "zstd:19"] {
            #expect(CompressionMethod(text)?.description == text)
        }
        #expect(CompressionMethod("zstd") == .zstd(level: 3))
        for text in ["", "zstd:", "zstd:0", "zstd:20", "zstd:+3", "zstd:03", "AUTO", "gzip"] {
            #expect(CompressionMethod(text) == nil)
        }
    }
}
