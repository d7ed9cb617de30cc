import HawserFormat
import Testing

struct BlobSealerTests {
    static let repository = [UInt8].counting(from: 100)
    static let epochs: [UInt8: [UInt8]] = [1: .counting(from: 1), 2: .counting(from: 2)]
    static let ids = ChunkIDKeys(secret: .counting(from: 3))
    let sealer = BlobSealer(repositoryID: repository, epochs: epochs, currentEpoch: 1)
    let packed = [UInt8].text(300)
    let id = ids.id(ofBytes: .text(500))

    func seal(_ sealer: BlobSealer, into output: inout [UInt8]) throws {
        try packed.withUnsafeBytes { try sealer.seal($0, id: id, type: .data, plainLength: 500, into: &output) }
    }

    func open(
        _ sealed: [UInt8],
        _ sealer: BlobSealer,
        id: ChunkID? = nil,
        type: ChunkType = .data,
        epoch: UInt8 = 1,
        plainLength: Int = 500
    ) throws -> [UInt8] {
        try sealed.withUnsafeBytes {
            try sealer.open($0, id: id ?? self.id, type: type, epoch: epoch, plainLength: plainLength) { Array($0) }
        }
    }

    @Test func opensWhatItSealed() throws {
        var output: [UInt8] = [1, 2, 3]
        try seal(sealer, into: &output)
        #expect(output.prefix(3) == [1, 2, 3])
        #expect(output.count == 3 + packed.count + BlobSealer.overhead)
        #expect(try open(Array(output.dropFirst(3)), sealer) == packed)
    }

    @Test func sealingTwiceGivesOtherBytes() throws {
        var first: [UInt8] = []
        var second: [UInt8] = []
        try seal(sealer, into: &first)
        try seal(sealer, into: &second)
        #expect(first.prefix(12) != second.prefix(12))
        #expect(first.dropFirst(12) != second.dropFirst(12))
    }

    @Test func oldEpochsStayReadable() throws {
        var sealed: [UInt8] = []
        try seal(sealer, into: &sealed)
        let rotated = BlobSealer(repositoryID: Self.repository, epochs: Self.epochs, currentEpoch: 2)
        #expect(try open(sealed, rotated) == packed)
        #expect(throws: HawserError.self) { try open(sealed, rotated, epoch: 2) }
        #expect(throws: HawserError.self) { try open(sealed, rotated, epoch: 3) }
        let empty = BlobSealer(repositoryID: Self.repository, epochs: [:], currentEpoch: 1)
        #expect(throws: HawserError.self) { try seal(empty, into: &sealed) }
    }

    @Test func everythingIsBound() throws {
        var sealed: [UInt8] = []
        try seal(sealer, into: &sealed)
        #expect(throws: HawserError.self) { try open(sealed, sealer, id: Self.ids.id(ofBytes: [])) }
        #expect(throws: HawserError.self) { try open(sealed, sealer, type: .treePage) }
        #expect(throws: HawserError.self) { try open(sealed, sealer, plainLength: 501) }
        #expect(throws: HawserError.self) { try open(sealed, sealer, plainLength: .max) }
        #expect(throws: HawserError.self) { try open(sealed, sealer, plainLength: -1) }
        let other = BlobSealer(repositoryID: .counting(from: 101), epochs: Self.epochs, currentEpoch: 1)
        #expect(throws: HawserError.self) { try open(sealed, other) }
    }

    @Test func damageIsAnError() throws {
        var sealed: [UInt8] = []
        try seal(sealer, into: &sealed)
        for count in 0..<sealed.count {
            #expect(throws: HawserError.self) { try open(Array(sealed.prefix(count)), sealer) }
        }
        for index in sealed.indices {
            var flipped = sealed
            flipped[index] ^= 1
            #expect(throws: HawserError.self) { try open(flipped, sealer) }
        }
    }

    @Test func idsDependOnTypeAndSecret() {
        let bytes = [UInt8].text(100)
        let all = ChunkType.allCases.map { Self.ids.id(ofBytes: bytes, type: $0) }
        #expect(Set(all).count == ChunkType.allCases.count)
        #expect(ChunkIDKeys(secret: .counting(from: 4)).id(ofBytes: bytes) != Self.ids.id(ofBytes: bytes))
    }
}

extension ChunkIDKeys {
    func id(ofBytes bytes: [UInt8], type: ChunkType = .data) -> ChunkID {
        bytes.withUnsafeBytes { id(of: $0, type: type) }
    }
}
