import Testing

@testable import HawserFormat

struct RepositoryConfigTests {
    private let ring = ObjectFixtures.ring
    private let config = ObjectFixtures.config

    @Test func aConfigurationComesBack() throws {
        var config = config
        config.header.features = FeatureFlags(read: [], write: [], info: ["made-by.hand", "a"])
        let object = try config.encode(ring)
        #expect(try RepositoryConfig(decoding: object, ring: ring) == config)
        #expect(try RepositoryConfig.header(of: object) == config.header)
        #expect(!config.isReadOnly)
    }

    @Test func theNextGenerationNamesTheOneBefore() throws {
        let object = try config.encode(ring)
        let next = try config.successor(of: object)
        #expect(next.header.generation == 2)
        #expect(next.header.previous == ObjectName(hashOf: object))
        #expect(try RepositoryConfig(decoding: next.encode(ring), ring: ring) == next)
    }

    @Test func theTakenEpochComesBackAndIsHandedOn() throws {
        var config = config
        config.takenEpoch = 7
        let object = try config.encode(ring)
        let decoded = try RepositoryConfig(decoding: object, ring: ring)
        #expect(decoded == config)
        #expect(try decoded.successor(of: object).takenEpoch == 7)
    }

    @Test func ringsOfOneRepositoryAreJoined() throws {
        var first = ring
        var second = ring
        try first.addEpoch()
        try second.addEpoch(above: first.currentEpoch)
        try first.merge(second)
        #expect(first.epochs.count == ring.epochs.count + 2)
        #expect(first.currentEpoch == second.currentEpoch)
        var third = ring
        try third.addEpoch()
        #expect(errorCode { try third.merge(first) } == .damaged)
    }

    @Test func unknownFeaturesDecideWhatMayBeDone() throws {
        var read = config
        read.header.features.read = ["zip-chunks"]
        #expect(errorCode { _ = try RepositoryConfig(decoding: read.encode(ring), ring: ring) } == .unsupported)
        #expect(throws: Never.self) {
            _ = try RepositoryConfig(decoding: read.encode(ring), ring: ring, known: FeatureFlags(read: ["zip-chunks"]))
        }

        var write = config
        write.header.features.write = ["zip-chunks"]
        let object = try write.encode(ring)
        let decoded = try RepositoryConfig(decoding: object, ring: ring)
        #expect(decoded.isReadOnly)
        #expect(!decoded.isReadOnly(known: FeatureFlags(write: ["zip-chunks"])))
        #expect(errorCode { _ = try decoded.successor(of: object) } == .unsupported)
    }

    @Test func unknownSuitesAskForANewerProgram() throws {
        var newer = config
        newer.header.suites = [1, 2]
        #expect(errorCode { _ = try RepositoryConfig(decoding: newer.encode(ring), ring: ring) } == .unsupported)
    }

    @Test func unknownFieldsAreKept() throws {
        var newer = config
        newer.header.unknownFields.set(200, Array("new".utf8))
        newer.unknownSecretFields.set(77, [1, 2, 3])
        let decoded = try RepositoryConfig(decoding: newer.encode(ring), ring: ring)
        #expect(decoded == newer)
        let next = try decoded.successor(of: newer.encode(ring))
        #expect(next.header.unknownFields == newer.header.unknownFields)
        #expect(next.unknownSecretFields == newer.unknownSecretFields)
    }

    @Test func keysOfAnotherRepositoryAreRefused() throws {
        let object = try config.encode(ring)
        #expect(errorCode { _ = try RepositoryConfig(decoding: object, ring: .random()) } == .damaged)
        let otherKey = KeyRing(
            repositoryID: ring.repositoryID,
            configKey: .random(),
            epochs: ring.epochs,
            currentEpoch: ring.currentEpoch
        )
        #expect(errorCode { _ = try RepositoryConfig(decoding: object, ring: otherKey) } == .damaged)
        #expect(errorCode { _ = try config.encode(.random()) } == .invalidArgument)
    }

    @Test func everyChangeIsRefused() throws {
        let object = try config.encode(ring)
        // The clear part, and the beginning and the end of the sealed one; ObjectSealerTests go through a whole object.
        let clearLength = object.count - SealedEnvelope.overhead - 4096
        var changed = object
        for index in Array(0..<clearLength + 100) + Array(object.count - 20..<object.count) {
            for bit in 0..<8 {
                changed[index] ^= 1 << bit
                #expect(errorCode { _ = try RepositoryConfig(decoding: changed, ring: ring) } != nil, "\(index) \(bit)")
                changed[index] = object[index]
            }
            #expect(errorCode { _ = try RepositoryConfig(decoding: Array(object[..<index]), ring: ring) } != nil)
        }
    }

    @Test func clearHeadersHaveOneEncoding() throws {
        let object = try config.encode(ring)
        let length = Int(object[16]) | Int(object[17]) << 8
        expectEveryChangeIsRefusedOrCanonical(Array(object[20..<20 + length])) { fields in
            let header = try RepositoryConfig.Header(TaggedFields(fields[...]))
            return try header.encode().bytes
        }
    }

    @Test func impossibleValuesAreNotWritten() {
        var noGeneration = config
        noGeneration.header.generation = 0
        var noPredecessor = config
        noPredecessor.header.generation = 2
        var badFlag = config
        badFlag.header.features.info = ["Bad Flag"]
        var badChunker = config
        badChunker.header.fileChunker.minimum = 1 << 30
        #expect(errorCode { _ = try badChunker.encode(ring) } == .unsupported)
        for config in [noGeneration, noPredecessor, badFlag] {
            #expect(errorCode { _ = try config.encode(ring) } == .invalidArgument)
        }
    }
}
