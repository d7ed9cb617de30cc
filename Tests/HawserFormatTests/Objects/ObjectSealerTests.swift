import Testing

@testable import HawserFormat

struct ObjectSealerTests {
    private let sealer = ObjectFixtures.sealer
    private let body = Array("the body of an object".utf8)

    @Test(arguments: [0, 1, 4091, 4092, 4093, 100_000])
    func bodiesOfAnyLengthComeBack(length: Int) throws {
        let body = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
        let object = try sealer.seal(body, kind: .dataIndex)
        #expect(object.count == ObjectSealer.sealedLength(ofBody: length))
        #expect(try sealer.open(object, kind: .dataIndex) == body)
    }

    @Test func smallBodiesAllHaveOneLength() throws {
        let lengths = try Set(
            [0, 100, 4092].map { try sealer.seal([UInt8](repeating: 7, count: $0), kind: .snapshot).count }
        )
        #expect(lengths == [4096 + ObjectSealer.overhead])
        #expect(ObjectSealer.overhead == 108)
    }

    @Test func aPartCanHaveAnExactLength() throws {
        let object = try sealer.seal(body, kind: .dataPackTrailer, padding: .exact(32))
        #expect(object.count == 32 + ObjectSealer.overhead)
        #expect(try sealer.open(object, kind: .dataPackTrailer) == body)
        #expect(
            errorCode { _ = try sealer.seal(body, kind: .dataPackTrailer, padding: .exact(24)) } == .invalidArgument
        )
    }

    @Test func everyChangeIsRefused() throws {
        let object = try sealer.seal(body, kind: .dataPackTrailer, padding: .exact(32))
        expectEveryChangeIsRefused(object) { _ = try sealer.open($0, kind: .dataPackTrailer) }
    }

    @Test func anotherKindIsRefused() throws {
        var object = try sealer.seal(body, kind: .snapshot)
        #expect(errorCode { _ = try sealer.open(object, kind: .checkpoint) } == .damaged)
        object[8] = HeaderKind.checkpoint.rawValue
        #expect(errorCode { _ = try sealer.open(object, kind: .checkpoint) } == .damaged)
    }

    @Test func anotherRepositoryIsRefused() throws {
        let other = ObjectSealer(
            repositoryID: [UInt8](repeating: 0x12, count: 32),
            epochs: ObjectFixtures.epochs,
            currentEpoch: 2
        )
        #expect(errorCode { _ = try other.open(sealer.seal(body, kind: .snapshot), kind: .snapshot) } == .damaged)
    }

    @Test func olderEpochsOpenAndUnknownOnesSaySo() throws {
        let old = ObjectSealer(
            repositoryID: ObjectFixtures.repositoryID,
            epochs: ObjectFixtures.epochs.filter { $0.key == 1 },
            currentEpoch: 1
        )
        #expect(try sealer.open(old.seal(body, kind: .snapshot), kind: .snapshot) == body)
        #expect(errorCode { _ = try old.open(sealer.seal(body, kind: .snapshot), kind: .snapshot) } == .accessDenied)
        var relabelled = try old.seal(body, kind: .snapshot)
        relabelled[11] = 2
        #expect(errorCode { _ = try sealer.open(relabelled, kind: .snapshot) } == .damaged)
    }

    @Test func newerVersionsAndSuitesAskForANewerProgram() throws {
        let object = try sealer.seal(body, kind: .snapshot)
        for index in [9, 10] {
            var newer = object
            newer[index] = 2
            #expect(errorCode { _ = try sealer.open(newer, kind: .snapshot) } == .unsupported)
        }
    }

    @Test func everySealingIsDifferent() throws {
        let sealer = ObjectFixtures.ring.objectSealer
        #expect(try sealer.seal(body, kind: .snapshot) != sealer.seal(body, kind: .snapshot))
    }

    @Test func dirtyPaddingIsRefused() {
        #expect(errorCode { _ = try SealedEnvelope.unpad([1, 0, 0, 0, 65, 0, 1]) } == .damaged)
        #expect(errorCode { _ = try SealedEnvelope.unpad([4, 0, 0, 0, 65, 0, 0]) } == .damaged)
        #expect(errorCode { _ = try SealedEnvelope.unpad([0, 0, 0]) } == .damaged)
    }
}
