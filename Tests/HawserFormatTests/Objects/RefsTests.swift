import Testing

@testable import HawserFormat

struct RefsTests {
    private let refs = ObjectFixtures.refs
    private let condemned = ObjectFixtures.condemned

    private func packs(_ numbers: Range<Int>) -> [PackReference] {
        numbers.map {
            PackReference(name: ObjectFixtures.name($0), length: UInt32(1000 + $0), isMetadata: $0.isMultiple(of: 2))
        }
    }

    @Test func fullRefsComeBack() throws {
        #expect(try Refs(decoding: refs.encode()) == refs)
        #expect(try Set(refs.resolve()) == Set(packs(0..<3)))
        let empty = Refs(snapshot: ObjectFixtures.name(1), generation: .max, packs: [])
        #expect(try Refs(decoding: empty.encode()) == empty)
        #expect(packs(0..<1)[0].key == .named(.metadataPack, ObjectFixtures.name(0)))
        #expect(packs(1..<2)[0].key == .named(.dataPack, ObjectFixtures.name(1)))
    }

    @Test func aDeltaGivesTheSamePacksAsAFullList() throws {
        let full = Refs(snapshot: ObjectFixtures.name(50), generation: 1, packs: packs(0..<20))
        let base = Refs.Base(snapshot: full.snapshot, name: ObjectName(hashOf: try full.encode()))
        let wanted = packs(3..<22)
        let delta = Refs(
            snapshot: ObjectFixtures.name(51),
            generation: 1,
            packs: wanted,
            base: base,
            basePacks: packs(0..<20)
        )
        #expect(delta.base == base)
        let decoded = try Refs(decoding: delta.encode())
        #expect(decoded == delta)
        #expect(try decoded.resolve(base: full) == wanted.sorted { $0.name < $1.name })
        #expect(try delta.encode().count < full.encode().count)
        #expect(errorCode { _ = try delta.resolve() } == .damaged)
        #expect(errorCode { _ = try delta.resolve(base: delta) } == .damaged)
        let other = Refs(snapshot: ObjectFixtures.name(52), generation: 1, packs: packs(0..<20))
        #expect(errorCode { _ = try delta.resolve(base: other) } == .damaged)
        for wrong in [packs(1..<20), packs(0..<21)] {
            let wrongBase = Refs(snapshot: full.snapshot, generation: 1, packs: wrong)
            #expect(errorCode { _ = try delta.resolve(base: wrongBase) } == .damaged)
        }
    }

    @Test func aDeltaThatSavesLittleIsWrittenInFull() {
        let base = Refs.Base(snapshot: ObjectFixtures.name(50), name: ObjectFixtures.name(60))
        let refs = Refs(
            snapshot: ObjectFixtures.name(51),
            generation: 1,
            packs: packs(10..<20),
            base: base,
            basePacks: packs(0..<15)
        )
        #expect(refs.base == nil)
    }

    @Test func condemnedObjectsComeBack() throws {
        #expect(try Condemned(decoding: condemned.encode()) == condemned)
        #expect(errorCode { _ = try Condemned(decoding: refs.encode()) } == .damaged)
        #expect(errorCode { _ = try Refs(decoding: condemned.encode()) } == .damaged)
    }

    @Test func everyChangeIsRefused() throws {
        let base = Refs.Base(snapshot: ObjectFixtures.name(50), name: ObjectFixtures.name(60))
        let delta = Refs(
            snapshot: refs.snapshot,
            generation: 2,
            packs: packs(0..<9),
            base: base,
            basePacks: packs(1..<10)
        )
        #expect(delta.base != nil)
        expectEveryChangeIsRefused(try refs.encode()) { _ = try Refs(decoding: $0) }
        expectEveryChangeIsRefused(try delta.encode()) { _ = try Refs(decoding: $0) }
        expectEveryChangeIsRefused(try condemned.encode()) { _ = try Condemned(decoding: $0) }
    }

    @Test func evenWithARightChecksumThereIsOneEncoding() throws {
        // The checksum keeps nobody from writing nonsense; the structure is checked without it.
        func withChecksum(_ kind: HeaderKind, _ content: [UInt8]) -> [UInt8] {
            ClearObject.encode(kind) { $0 += content }
        }
        let base = Refs.Base(snapshot: ObjectFixtures.name(50), name: ObjectFixtures.name(60))
        let delta = Refs(
            snapshot: refs.snapshot,
            generation: 2,
            packs: packs(0..<9),
            base: base,
            basePacks: packs(1..<10)
        )
        for object in [try refs.encode(), try delta.encode()] {
            expectEveryChangeIsRefusedOrCanonical(Array(object[16..<object.count - 32])) { content in
                Array(try Refs(decoding: withChecksum(.refs, content)).encode().dropFirst(16).dropLast(32))
            }
        }
        let object = try condemned.encode()
        expectEveryChangeIsRefusedOrCanonical(Array(object[16..<object.count - 32])) { content in
            Array(try Condemned(decoding: withChecksum(.condemned, content)).encode().dropFirst(16).dropLast(32))
        }
        var huge: [UInt8] = Array(object[16..<36])
        huge.append(integer: UInt32.max)
        #expect(errorCode { _ = try Condemned(decoding: withChecksum(.condemned, huge)) } == .damaged)
    }

    @Test func packsAreNamedOnce() {
        let twice = packs(0..<3) + packs(0..<1)
        #expect(
            errorCode { _ = try Refs(snapshot: refs.snapshot, generation: 1, packs: twice).encode() }
                == .invalidArgument
        )
        #expect(
            errorCode { _ = try Condemned(packs: twice, fence: 0, created: Timestamp(seconds: 0)).encode() }
                == .invalidArgument
        )
        #expect(
            errorCode { _ = try Condemned(packs: [], fence: 0, created: Timestamp(seconds: 0)).encode() }
                == .invalidArgument
        )
    }
}
