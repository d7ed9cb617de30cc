import Testing

@testable import HawserFormat

struct KeySlotTests {
    private let ring = ObjectFixtures.ring
    private let metadata = ObjectFixtures.slotMetadata
    private let cheap = ScryptParameters(cost: 16, blockSize: 8, parallelism: 1)
    private let password = Secret(Array("correct horse".utf8))

    @Test func theRightPasswordOpens() throws {
        let slot = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap)
        #expect(slot.kind == .passphrase(cheap))
        let read = try KeySlot(decoding: slot.bytes, name: slot.name)
        #expect(read == slot)
        #expect(try read.open(password: password) == .opened(ring, metadata))
    }

    @Test func theStandardCostWorks() throws {
        let slot = try KeySlot.seal(ring, metadata: metadata, password: password)
        #expect(slot.kind == .passphrase(.standard))
        #expect(try slot.open(password: password) == .opened(ring, metadata))
    }

    @Test func wrongPasswordsAreToldFromDamage() throws {
        let slot = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap)
        for wrong in ["Correct horse", "correct horse ", "", "\u{301}"] {
            #expect(try slot.open(password: Secret(Array(wrong.utf8))) == .wrongPassword)
        }
        expectEveryChangeIsRefused(Array(slot.bytes)) { bytes in
            _ = try KeySlot(decoding: bytes, name: slot.name)
        }
    }

    @Test func passwordsAreBytesAndNotNormalised() throws {
        let composed = Secret(Array("caf\u{e9}".utf8))
        let decomposed = Secret(Array("cafe\u{301}".utf8))
        let slot = try KeySlot.seal(ring, metadata: metadata, password: composed, cost: cheap)
        #expect(try slot.open(password: decomposed) == .wrongPassword)
        let bytes = Secret([0xff, 0x00, 0xfe])
        let binary = try KeySlot.seal(ring, metadata: metadata, password: bytes, cost: cheap)
        #expect(try binary.open(password: bytes) == .opened(ring, metadata))
    }

    @Test func withoutTheNameNoChangedSlotOpens() throws {
        let slot = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap)
        var changed = slot.bytes
        for index in stride(from: 0, to: changed.count, by: 7) {
            changed[index] ^= 0x10
            let opening = try? KeySlot(decoding: changed, name: ObjectName(hashOf: changed)).open(password: password)
            if case .opened = opening { Issue.record("byte \(index)") }
            changed[index] = slot.bytes[index]
        }
    }

    @Test func aRightPasswordOnDamagedContentIsDamage() throws {
        var bytes = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap).bytes
        bytes[bytes.count - 1] ^= 1
        let slot = try KeySlot(decoding: bytes, name: ObjectName(hashOf: bytes))
        #expect(errorCode { _ = try slot.open(password: password) } == .damaged)
    }

    @Test(arguments: [
        ScryptParameters(cost: 1 << 21, blockSize: 8, parallelism: 1),
        ScryptParameters(cost: 48, blockSize: 8, parallelism: 1),
        ScryptParameters(cost: 1, blockSize: 8, parallelism: 1),
        ScryptParameters(cost: 0, blockSize: 8, parallelism: 1),
        ScryptParameters(cost: 16, blockSize: 1, parallelism: 1),
        ScryptParameters(cost: 16, blockSize: 16, parallelism: 1),
        ScryptParameters(cost: 16, blockSize: 8, parallelism: 0),
        ScryptParameters(cost: 16, blockSize: 8, parallelism: 5),
    ])
    func expensiveOrOddCostsAreRefused(cost: ScryptParameters) throws {
        #expect(
            errorCode { _ = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cost) } == .unsupported
        )
        var bytes = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap).bytes
        // Behind header, length, and the fields' tags and lengths.
        for (index, value) in [cost.cost, cost.blockSize, cost.parallelism].enumerated() {
            for byte in 0..<4 { bytes[25 + 4 * index + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
        }
        #expect(errorCode { _ = try KeySlot(decoding: bytes, name: ObjectName(hashOf: bytes)) } == .unsupported)
    }

    @Test func unknownKindsAreSkipped() throws {
        var bytes = ObjectHeader(kind: .keySlot, suite: 1).bytes
        var fields = TaggedFields()
        fields.set(1, [2])
        fields.set(9, [1, 2, 3])
        bytes.append(integer: UInt32(fields.bytes.count))
        bytes += fields.bytes + [9, 9, 9]
        let slot = try KeySlot(decoding: bytes, name: ObjectName(hashOf: bytes))
        #expect(slot.kind == .unknown(2))
        #expect(try slot.open(password: password) == .unknownKind(2))
    }

    @Test func emptyPasswordsAreNotTaken() {
        #expect(
            errorCode { _ = try KeySlot.seal(ring, metadata: metadata, password: Secret([]), cost: cheap) }
                == .invalidArgument
        )
    }

    @Test func contentsHaveOneEncoding() throws {
        let content = try KeySlotContent(ring: ring, metadata: metadata).encode()
        expectEveryChangeIsRefusedOrCanonical(content) { bytes in
            // Unknown fields are dropped, which is the one way in which another encoding can be valid.
            let decoded = try KeySlotContent(decoding: bytes)
            var fields = try TaggedFields(bytes[...])
            for tag in UInt64(1)...7 { _ = fields.take(tag) }
            return fields.isEmpty ? try decoded.encode() : bytes
        }
    }

    @Test func aFullRingFitsAndTakesNoMore() throws {
        var ring = KeyRing.random()
        for _ in 2...255 { try ring.addEpoch() }
        #expect(ring.currentEpoch == 255 && ring.epochs.count == 255)
        #expect(Set(ring.epochs.values.map(\.bytes)).count == 255)
        #expect(errorCode { try ring.addEpoch() } == .invalidArgument)
        let slot = try KeySlot.seal(ring, metadata: metadata, password: password, cost: cheap)
        #expect(try slot.open(password: password) == .opened(ring, metadata))
    }
}
