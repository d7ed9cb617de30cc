import Crypto
import Testing

@testable import HawserFormat

/// The vectors of `docs/format.md`. A change here is a change of the format.
struct GoldenVectorTests {
    static let chunkerSecret = [UInt8].counting(from: 0)
    static let idSecret = [UInt8].counting(from: 32)
    static let epochSecret = [UInt8].counting(from: 64)
    static let repository = [UInt8].counting(from: 96)
    static let abc = Array("abc".utf8)
    static let ids = ChunkIDKeys(secret: idSecret)

    static func sha256(_ bytes: [UInt8]) -> String { SHA256.hash(data: bytes).hex }

    static func sealed(_ packed: [UInt8], plain: [UInt8], type: ChunkType) throws -> [UInt8] {
        let sealer = BlobSealer(repositoryID: repository, epochs: [1: epochSecret], currentEpoch: 1)
        let nonce = try AES.GCM.Nonce(data: [UInt8].counting(from: 128, count: 12))
        var blob: [UInt8] = []
        try packed.withUnsafeBytes {
            let id = ids.id(ofBytes: plain, type: type)
            try sealer.seal($0, id: id, type: type, plainLength: plain.count, nonce: nonce, into: &blob)
        }
        return blob
    }

    @Test func gearTable() {
        let words = GearTable(secret: Self.chunkerSecret).words
        #expect(words[0] == 0x8250_a056_3a38_ce13)
        #expect(words[255] == 0x740_6128_7803_160c)
    }

    @Test func cuts() {
        let bytes = KnownGenerator.bytes(3 << 20, seed: 42)
        #expect(
            ChunkerTests.lengths(of: bytes, .files, secret: Self.chunkerSecret) == [1_419_835, 683137, 516541, 526215]
        )
        let small = Array(bytes.prefix(32 << 10))
        #expect(
            ChunkerTests.lengths(of: small, ChunkerTests.small, secret: Self.chunkerSecret) == [
                4588, 4108, 2103, 8546, 6830, 6356, 237,
            ]
        )
    }

    @Test(arguments: [
        (ChunkType.data, "760de7a37afb9054c590e67c94275e1bed1e1ad7ba1c1d56b5babbb27379dae1"),
        (.contentList, "0b5a819058faadf5d269f0b34a3c29cda03a04b6d63321722cb43e6fe2c110d0"),
        (.treePage, "75688e50bc942349694277193c8cf9cc458e9ed9a21463af7a2f0d52a50f5db4"),
        (.attribute, "c96a2ccf53937f26aac8b462720292a7abde873ea0e8c4453c7f77c2d4cd2241"),
    ])
    func chunkIDs(type: ChunkType, hex: String) {
        #expect(Self.ids.id(ofBytes: Self.abc, type: type).hex == hex)
    }

    @Test(arguments: [
        ("0061616161", 4),
        // One literal, a match of 26 at distance 1, five literals.
        ("011f61010007506161616161", 32),
        // A frame of one block that repeats a byte.
        ("0228b52ffd202003010061", 32),
    ])
    func packedBytes(hex: String, plainLength: Int) throws {
        var plain: [UInt8] = []
        let packed = try #require([UInt8](hex: hex))
        try packed.withUnsafeBytes {
            try Compressor(method: .auto).decompress($0, plainLength: plainLength, into: &plain)
        }
        #expect(plain == [UInt8](repeating: UInt8(ascii: "a"), count: plainLength))
    }

    @Test func blobs() throws {
        let blob = try Self.sealed([0] + Self.abc, plain: Self.abc, type: .data)
        #expect(blob.hex == "808182838485868788898a8bf50b445ea596fbb2213ea998cfbdb935e422bebd")
    }

    @Test func pack() throws {
        let random = RandomSource { .counting(from: 200, count: $0) }
        let sealer = ObjectSealer(
            repositoryID: Self.repository,
            epochs: [1: Self.epochSecret],
            currentEpoch: 1,
            random: random
        )
        var builder = PackBuilder(kind: .data, sizeLimit: 1 << 20)
        for plain in [Self.abc, []] {
            try builder.append(id: Self.ids.id(ofBytes: plain), type: .data, epoch: 1, plainLength: plain.count) {
                $0 += try Self.sealed([0] + plain, plain: plain, type: .data)
            }
        }
        let pack = try builder.finish(sealer: sealer, writerID: .counting(from: 240, count: 16))
        #expect(pack.bytes.count == 65_536)
        #expect(pack.bytes.prefix(16).hex == "484157534552310a0301010100000000")
        #expect(
            pack.bytes.suffix(PackLayout.trailerLength).hex
                == "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e79c52229b67ff2f5f0721c8e29a7f6beed6e8edafafd9573ec849d32ecd1b5736c8c9cacbcccdcecfd0d1d2d3fe3fc5ded2c52dd7c118c7d042d25c57535485cff9b4229e10f686f5"
        )
        #expect(pack.name.hex == "48cbb1de2fe3c3247f8eab3b7b4bf36b5ca0c9da96d9c7fa508fa8d496776433")
    }
}
