import Testing

@testable import HawserFormat

struct PackTests {
    static let epochs: [UInt8: [UInt8]] = [1: .counting(from: 1), 2: .counting(from: 2)]
    static let repository = [UInt8].counting(from: 100)
    static let writer = [UInt8].counting(from: 50, count: 16)
    let sealer = ObjectSealer(repositoryID: repository, epochs: epochs, currentEpoch: 2)

    static func id(_ number: Int) -> ChunkID {
        ChunkIDKeys(secret: .counting(from: 3)).id(ofBytes: Array("\(number)".utf8))
    }

    /// A builder with blobs of random bytes of these lengths.
    static func builder(_ lengths: [Int], kind: PackKind = .data, limit: Int = 1 << 20) throws -> PackBuilder {
        var builder = PackBuilder(kind: kind, sizeLimit: limit)
        for (number, length) in lengths.enumerated() {
            #expect(builder.canFit(storedLength: length))
            try KnownGenerator.bytes(length, seed: UInt64(number)).withUnsafeBytes {
                let type: ChunkType = kind == .data ? .data : .treePage
                _ = try builder.append($0, id: id(number), type: type, epoch: 1, plainLength: 2 * length)
            }
        }
        return builder
    }

    @Test(arguments: [[], [29], [100, 2000, 50_000], Array(repeating: 500, count: 300), [400_000]])
    func theFooterComesBackFromTheEnd(lengths: [Int]) throws {
        for kind in PackKind.allCases {
            var builder = try Self.builder(lengths, kind: kind)
            let pack = try builder.finish(sealer: sealer, writerID: Self.writer)
            let length = pack.bytes.count
            #expect(length == PackLayout.paddedLength(length) && length >= 64 << 10)
            let reader = try PackReader(kind: kind, header: pack.bytes[..<16], packLength: length)
            let range = try reader.footerRange(
                tail: pack.bytes[PackReader.firstTail(packLength: length)],
                sealer: sealer
            )
            let footer = try reader.footer(range, tail: pack.bytes[reader.tail(holding: range)], sealer: sealer)
            #expect(footer == PackFooter(writerID: Self.writer, records: pack.records))
            #expect(footer.records.map { Int($0.storedLength) } == lengths)
            for (number, record) in footer.records.enumerated() {
                let blob = pack.bytes[Int(record.offset)...].prefix(Int(record.storedLength))
                #expect(blob.elementsEqual(KnownGenerator.bytes(lengths[number], seed: UInt64(number))))
            }
        }
    }

    @Test func aFullPackIsAsLongAsItsLimit() throws {
        for limit in [64 << 10, 1 << 20, 5 << 20] {
            var builder = PackBuilder(kind: .data, sizeLimit: limit)
            let blob = [UInt8](repeating: 1, count: limit / 50)
            var number = 0
            while builder.canFit(storedLength: blob.count) {
                try blob.withUnsafeBytes {
                    _ = try builder.append($0, id: Self.id(number), type: .data, epoch: 1, plainLength: 1)
                }
                number += 1
            }
            let before = builder.records
            #expect(throws: HawserError.self) {
                try blob.withUnsafeBytes {
                    _ = try builder.append($0, id: Self.id(0), type: .data, epoch: 1, plainLength: 1)
                }
            }
            #expect(builder.records == before)
            #expect(builder.finishedLength <= limit && builder.finishedLength > limit * 9 / 10)
            let pack = try builder.finish(sealer: sealer, writerID: Self.writer)
            #expect(try PackReader.footer(of: pack.bytes, kind: .data, sealer: sealer).records == before)
        }
    }

    @Test func refusesWhatDoesNotBelong() throws {
        var builder = PackBuilder(kind: .data, sizeLimit: 1 << 20)
        struct Failure: Error {}
        func append(_ length: Int, type: ChunkType = .data, plainLength: Int = 1) throws {
            try builder.append(id: Self.id(1), type: type, epoch: 1, plainLength: plainLength) {
                $0.append(contentsOf: repeatElement(0, count: length))
            }
        }
        #expect(throws: HawserError.self) { try append(28) }
        #expect(throws: HawserError.self) { try append(100, type: .treePage) }
        #expect(throws: HawserError.self) { try append(100, plainLength: 1 << 24) }
        #expect(throws: HawserError.self) { try append(100, plainLength: -1) }
        #expect(throws: HawserError.self) { try append(2 << 20) }
        #expect(throws: Failure.self) {
            try builder.append(id: Self.id(1), type: .data, epoch: 1, plainLength: 1) {
                $0.append(1)
                throw Failure()
            }
        }
        #expect(builder.isEmpty && builder.blobLength == 0)
        #expect(!builder.canFit(storedLength: .max) && !builder.canFit(storedLength: -1))
        #expect(throws: HawserError.self) { try builder.finish(sealer: sealer, writerID: [1]) }
    }

    @Test func twoPacksJoin() throws {
        var first = try Self.builder([100, 200])
        var second = try Self.builder([300, 400, 500])
        #expect(first.canJoin(second))
        try first.join(&second)
        #expect(second.isEmpty && second.blobLength == 0)
        let joined = try first.finish(sealer: sealer, writerID: Self.writer)
        let footer = try PackReader.footer(of: joined.bytes, kind: .data, sealer: sealer)
        #expect(footer.records == joined.records)
        #expect(footer.records.map(\.storedLength) == [100, 200, 300, 400, 500])
        #expect(footer.records.map(\.offset) == [16, 116, 316, 616, 1016])
        var large = try Self.builder([600_000])
        var other = try Self.builder([600_000])
        #expect(!large.canJoin(other))
        #expect(throws: HawserError.self) { try large.join(&other) }
        #expect(!large.canJoin(PackBuilder(kind: .metadata, sizeLimit: 1 << 20)))
    }

    @Test func theBufferIsUsedAgain() throws {
        var builder = try Self.builder([1000])
        let address = builder.address
        var pack = try builder.finish(sealer: sealer, writerID: Self.writer)
        #expect(pack.bytes.withUnsafeBytes { $0.baseAddress } == address)
        #expect(builder.isEmpty && builder.blobLength == 0)
        var bytes: [UInt8] = []
        swap(&bytes, &pack.bytes)
        builder = PackBuilder(kind: .data, buffer: consume bytes, sizeLimit: 1 << 20)
        #expect(builder.address == address)
        pack = try builder.finish(sealer: sealer, writerID: Self.writer)
        #expect(pack.bytes.withUnsafeBytes { $0.baseAddress } == address)
        #expect(try PackReader.footer(of: pack.bytes, kind: .data, sealer: sealer).records.isEmpty)
    }

    @Test func onlyTheHeaderIsClear() throws {
        var builder = try Self.builder([])
        let first = try builder.finish(sealer: sealer, writerID: Self.writer).bytes
        let second = try builder.finish(sealer: sealer, writerID: Self.writer).bytes
        #expect(first[..<16] == second[..<16])
        // Random bytes agree in one of 256 places.
        let equal = zip(first, second).dropFirst(16).count { $0 == $1 }
        #expect((100...420).contains(equal))
        // No long run agrees anywhere, and none is zero.
        #expect(!Self.hasZeros(first, count: 8))
    }

    static func hasZeros(_ bytes: [UInt8], count: Int) -> Bool {
        bytes.dropFirst(16).split(whereSeparator: { $0 != 0 }).contains { $0.count >= count }
    }

    @Test func damageIsAnError() throws {
        var builder = try Self.builder([100, 2000])
        let pack = try builder.finish(sealer: sealer, writerID: Self.writer).bytes
        func footer(_ bytes: [UInt8], kind: PackKind = .data) throws -> PackFooter {
            try PackReader.footer(of: bytes, kind: kind, sealer: sealer)
        }
        let blobs = 16..<2116
        for index in Array(0..<16) + Array(stride(from: blobs.upperBound, to: pack.count, by: 997))
            + Array((pack.count - PackLayout.trailerLength)..<pack.count)
        {
            var flipped = pack
            flipped[index] ^= 0x10
            #expect(throws: HawserError.self, "\(index)") { try footer(flipped) }
        }
        for count in [0, 1, 15, 16, 17, 103, 104, 120, 65_535, 60_000] {
            #expect(throws: HawserError.self) { try footer(Array(pack.prefix(count))) }
        }
        #expect(throws: HawserError.self) { try footer(pack, kind: .metadata) }
        #expect(throws: HawserError.self) { try footer(KnownGenerator.bytes(64 << 10, seed: 9)) }
        let stranger = ObjectSealer(repositoryID: .counting(from: 7), epochs: Self.epochs, currentEpoch: 2)
        #expect(throws: HawserError.self) { try PackReader.footer(of: pack, kind: .data, sealer: stranger) }
        let reader = try PackReader(kind: .data, header: pack[..<16], packLength: pack.count)
        #expect(throws: HawserError.self) { try reader.footerRange(tail: [], sealer: sealer) }
        #expect(throws: HawserError.self) { try reader.footer(10..<20, tail: pack[...], sealer: sealer) }
        #expect(throws: HawserError.self) { try reader.footer(10..<20, tail: [], sealer: sealer) }
        for length in [-1, 0, 16, 65_537, .max, .min] {
            #expect(throws: HawserError.self) { try PackReader(kind: .data, header: pack[..<16], packLength: length) }
            _ = PackReader.firstTail(packLength: length)
        }
    }

    /// A footer that was sealed with the right keys by a program with a defect.
    @Test(arguments: ["count", "offset", "stored", "plain", "type", "epoch", "order", "none"])
    func impossibleRecordsAreErrors(fault: String) throws {
        var records = try Self.builder([100, 2000]).records
        var count = UInt32(2)
        switch fault {
        case "count": count = .max
        case "offset": records[1].offset = .max
        case "stored": records[1].storedLength = .max
        case "plain": records[1].plainLength = 1 << 24
        case "type": records[1].type = .attribute
        case "epoch": records[1].epoch = 0
        case "order": records.swapAt(0, 1)
        default: break
        }
        var body = Self.writer
        body.append(integer: count)
        for record in records {
            body.append(identifier: record.id)
            body += [record.type.rawValue, record.epoch]
            for number in [record.offset, record.storedLength, record.plainLength] { body.append(integer: number) }
        }
        let blobs = [UInt8](repeating: 1, count: 2100)
        let footerLength = (64 << 10) - 16 - blobs.count - PackLayout.trailerLength
        let footer = try sealer.seal(
            body,
            kind: .dataPackFooter,
            padding: .exact(footerLength - SealedEnvelope.overhead)
        )
        var place: [UInt8] = []
        place.append(integer: UInt32(16 + blobs.count))
        place.append(integer: UInt32(footerLength))
        let trailer = try sealer.seal(place, kind: .dataPackTrailer, padding: .exact(12))
        let header = ObjectHeader(kind: .dataPack, suite: 1, epoch: 2).bytes
        let pack = header + blobs + footer.dropFirst(16) + trailer.dropFirst(16)
        if fault == "none" {
            #expect(try PackReader.footer(of: pack, kind: .data, sealer: sealer).records == records)
        } else {
            #expect(throws: HawserError.self) { try PackReader.footer(of: pack, kind: .data, sealer: sealer) }
        }
    }

    @Test func sizesGrowWithTheRepository() {
        func size(_ storedBytes: UInt64, _ memory: Int) -> Int {
            PackLayout.dataSize(base: 16 << 20, storedBytes: storedBytes, memory: memory)
        }
        #expect(size(0, 128 << 20) == 16 << 20)
        #expect(size(0, 96 << 20) == 12 << 20)
        #expect(size(0, 512 << 20) == 32 << 20)
        #expect(size(128 << 30, 256 << 20) == 32 << 20)
        #expect(size(512 << 30, 512 << 20) == 64 << 20)
        #expect(size(0, 8 << 30) == 64 << 20)
        #expect(size(.max, 0) == 4 << 20)
        #expect(PackLayout.dataSize(base: 8 << 20, storedBytes: 0, memory: 128 << 20) == 8 << 20)
        #expect(PackLayout.dataSize(base: 8 << 20, storedBytes: .max, memory: 512 << 20) == 32 << 20)
    }
}
