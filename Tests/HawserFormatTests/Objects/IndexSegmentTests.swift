import Testing

@testable import HawserFormat

struct IndexSegmentTests {
    private let segment = ObjectFixtures.segment

    @Test func aSegmentComesBack() throws {
        let object = try segment.encode(ObjectFixtures.sealer)
        let decoded = try IndexSegment(decoding: object, kind: .metadata, sealer: ObjectFixtures.sealer)
        #expect(decoded == segment)
        #expect(decoded.records.count == 6)
        #expect(decoded.replaces == [ObjectFixtures.name(8), ObjectFixtures.name(9)].sorted())
        #expect(
            errorCode {
                _ = try IndexSegment(decoding: object, kind: .data, sealer: ObjectFixtures.sealer)
            } == .damaged
        )
    }

    @Test func recordsAreFoundWithTheirPacks() throws {
        let index = try #require(segment.firstIndex(of: ObjectFixtures.chunk(3)))
        let record = segment.records[index]
        #expect(record.blob.id == ObjectFixtures.chunk(3))
        #expect(record.blob.type == .attribute)
        #expect(record.blob.offset == 316 && record.blob.storedLength == 100 && record.blob.plainLength == 0xfffffd)
        #expect(record.blob.epoch == 2)
        #expect(segment.packs[Int(record.packNumber)].name == ObjectFixtures.name(1))
        #expect(segment.firstIndex(of: ObjectFixtures.chunk(77)) == nil)
        let empty = try IndexSegment(kind: .data, packs: [], records: [])
        #expect(empty.firstIndex(of: ObjectFixtures.chunk(1)) == nil && empty.records.isEmpty)
        #expect(
            try IndexSegment(decoding: empty.encode(ObjectFixtures.sealer), kind: .data, sealer: ObjectFixtures.sealer)
                == empty
        )
    }

    @Test func oneChunkCanBeInTwoPacks() throws {
        let first = try #require(segment.firstIndex(of: ObjectFixtures.chunk(0)))
        #expect(segment.records[first + 1].blob.id == ObjectFixtures.chunk(0))
        #expect(segment.records[first].packNumber == 0 && segment.records[first + 1].packNumber == 1)
        var records = Array(segment.records)
        records.append(records[first])
        #expect(
            errorCode { _ = try IndexSegment(kind: .metadata, packs: segment.packs, records: records) }
                == .invalidArgument
        )
    }

    @Test func recordsUseAll48Bytes() throws {
        let record = IndexRecord(
            blob: BlobRecord(
                id: ObjectFixtures.chunk(5),
                type: .attribute,
                epoch: 0xe1,
                offset: 0x0403_0201,
                storedLength: 0x1413_1211,
                plainLength: 0xfedcba
            ),
            packNumber: 0x0abb_ccdd
        )
        var bytes = [UInt8](repeating: 0xaa, count: IndexRecord.byteCount + 1)
        bytes.withUnsafeMutableBytes { bytes in bytes.baseAddress.map { record.write(to: $0) } }
        #expect(bytes.hex == ObjectFixtures.chunk(5).hex + "ddccbb4a" + "01020304" + "11121314" + "badcfee1" + "aa")
        bytes.withUnsafeBytes { bytes in #expect(bytes.baseAddress.flatMap { IndexRecord(at: $0) } == record) }
    }

    @Test func everyChangeIsRefusedOrSomethingElseThatIsValid() throws {
        var body: [UInt8] = []
        segment.appendBody(to: &body)
        expectEveryChangeIsRefusedOrCanonical(body) { bytes in
            var again: [UInt8] = []
            try IndexSegment(body: bytes, kind: .metadata).appendBody(to: &again)
            return again
        }
    }

    @Test func recordsThatCannotBeRightAreRefused() throws {
        func code(kind: IndexSegment.Kind = .metadata, _ change: (inout IndexRecord) -> Void) -> HawserError.Code? {
            var record = IndexRecord(
                blob: BlobRecord(
                    id: ObjectFixtures.chunk(0),
                    type: .treePage,
                    epoch: 1,
                    offset: 16,
                    storedLength: 29,
                    plainLength: 1
                ),
                packNumber: 0
            )
            change(&record)
            var bytes = [UInt8](repeating: 0, count: IndexRecord.byteCount)
            bytes.withUnsafeMutableBytes { bytes in bytes.baseAddress.map { record.write(to: $0) } }
            let packs = [IndexSegment.PackInfo(name: ObjectFixtures.name(0), length: 100)]
            return errorCode { _ = try IndexSegment(kind: kind, packs: packs, recordBytes: bytes[...]) }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0.blob.offset = 71 } == nil)
        #expect(code { $0.blob.offset = 72 } == .damaged)
        #expect(code { $0.blob.offset = .max } == .damaged)
        #expect(code { $0.blob.storedLength = .max } == .damaged)
        #expect(code { $0.blob.storedLength = 28 } == .damaged)
        #expect(code { $0.blob.epoch = 0 } == .damaged)
        #expect(code { $0.packNumber = 1 } == .damaged)
        #expect(code { $0.blob.type = .data } == .damaged)
        #expect(code(kind: .data) { _ in } == .damaged)
        #expect(code(kind: .data) { $0.blob.type = .data } == nil)
    }

    @Test func disorderIsRefused() throws {
        let bytes = segment.records.withUnsafeBytes { Array($0) }
        let swapped = Array(bytes[48..<96] + bytes[..<48] + bytes[96...])
        let twice = Array(bytes[..<48] + bytes)
        for records in [swapped, twice, Array(bytes.dropLast())] {
            #expect(
                errorCode { _ = try IndexSegment(kind: .metadata, packs: segment.packs, recordBytes: records[...]) }
                    == .damaged
            )
        }
        #expect(
            errorCode {
                _ = try IndexSegment(kind: .metadata, packs: segment.packs.reversed(), recordBytes: bytes[...])
            } == .damaged
        )
        #expect(
            errorCode {
                _ = try IndexSegment(
                    kind: .metadata,
                    packs: segment.packs,
                    recordBytes: bytes[...],
                    replaces: [ObjectFixtures.name(1), ObjectFixtures.name(1)]
                )
            } == .damaged
        )
    }

    @Test func countsThatDoNotFitAreRefusedBeforeAnythingIsAllocated() {
        for counts: [UInt32] in [[.max, 0, 0], [0, .max, 0], [0, 0, .max], [1, 1, 1], [524_289, 0, 0]] {
            var body: [UInt8] = []
            for count in counts { body.append(integer: count) }
            #expect(errorCode { _ = try IndexSegment(body: body, kind: .data) } == .damaged)
        }
    }
}
