import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Keys")
struct KeysTests {
    private let second = Secret(text: "second")
    private let third = Secret(text: "third")

    @Test("Keys are listed with what the passwords open")
    func lists() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            let added = try await keys.add(password: second, metadata: .test("laptop"), cost: .test)
            let damaged = try await keys.add(password: third, metadata: .test(), cost: .test)
            try await fixture.flipBit(of: .named(.keySlot, damaged))

            let closed = try await keys.list()
            #expect(closed.count == 3)
            #expect(closed.count { $0.isCurrent } == 1)
            #expect(closed.first { $0.id == added }?.metadata == nil)
            #expect(closed.first { $0.id == damaged }?.problem?.code == .damaged)
            let opened = try await keys.list(trying: [second])
            #expect(opened.first { $0.id == added }?.metadata?.label == Array("laptop".utf8))
        }
    }

    @Test("A removed key opens nothing; the one in use can't be removed")
    func removes() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            await expectCode(.invalidArgument) { try await keys.remove(keys.current.hex) }
            await expectCode(.notFound) { try await keys.remove("0000000000000000") }
            await expectCode(.notFound) { try await keys.remove("") }
            let added = try await keys.add(password: second, metadata: .test(), cost: .test)
            _ = try await fixture.open(second)
            try await keys.remove(String(added.hex.prefix(12)))
            await expectCode(.wrongPassword) { try await fixture.open(second) }
            _ = try await fixture.open()
        }
    }

    @Test("After a change of the password only the new one opens")
    func changesPassword() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            _ = try await keys.changePassword(to: second, metadata: .test(), cost: .test)
            await expectCode(.wrongPassword) { try await fixture.open() }
            _ = try await fixture.open(second)
        }
    }

    @Test("A rotation keeps old data readable, seals anew, and drops keys without their password")
    func rotates() async throws {
        try await TestRepository.with { fixture in
            let files = [TestFile("a", count: 50_000, seed: 1)]
            let old = try await fixture.backUp(files)
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            _ = try await keys.add(password: second, metadata: .test("second"), cost: .test)
            let dropped = try await keys.add(password: third, metadata: .test("third"), cost: .test)
            let before = try await fixture.open()

            let rotation = try await keys.rotate(keeping: [second], cost: .test)
            #expect(rotation.epoch == 2)
            #expect(rotation.added.count == 2)
            #expect(rotation.replaced.count == 2)
            #expect(rotation.dropped.map(\.id) == [dropped])
            await expectCode(.wrongPassword) { try await fixture.open(third) }
            #expect(try await fixture.keys(.keySlot).count == 2)

            let new = [TestFile("b", count: 50_000, seed: 2)]
            let repository = try await fixture.open(second)
            try await repository.expect(files, in: old)
            let id = try await TestSession(repository).backUp(new)
            try await fixture.open().expect(new, in: id)
            #expect(try await fixture.check(.all).findings.isEmpty)
            // Whoever still has the old keys reads the old data, not the new.
            await expectCode(.accessDenied) { try await before.snapshot(id) }
        }
    }

    @Test("A rotation that was killed can be run again, and never gives one epoch two secrets")
    func rotatesAfterAKill() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            _ = try await keys.add(password: second, metadata: .test("second"), cost: .test)
            fixture.store.add(Fault(.failBefore(.permanent()), on: .delete, keys: .kind(.keySlot)))
            await expectCode(.accessDenied) { try await keys.rotate(cost: .test) }
            try fixture.store.verifyAllFired()
            // The new slot exists, the old ones too.
            #expect(try await fixture.keys(.keySlot).count == 3)

            let slots = try await keys.slots([.test])
            let newest = try #require(slots.max { $0.key.epoch < $1.key.epoch }?.opening?.ring)
            #expect(newest.currentEpoch == 2)
            // Somebody has written under the new epoch.
            let snapshot = try await TestSession(fixture.open()).snapshot(
                TreeRoot(id: .init(repeatElement(1, count: 32))!, height: 0, entryCount: 0, byteCount: 0)
            )
            let (bytes, id) = try snapshot.encode(newest.objectSealer)
            _ = try await fixture.target.store(SealedObject(key: .named(.snapshot, id), bytes: bytes, sha256: id))

            let other = try await RepositoryKeys.open(at: fixture.target, password: second)
            await expectCode(.accessDenied) { try await other.rotate(cost: .test) }
            #expect(try await fixture.keys(.keySlot).count == 3)
            let rotation = try await keys.rotate(keeping: [second], cost: .test)
            #expect(rotation.epoch == 3)
            #expect(try await fixture.keys(.keySlot).count == 2)
            _ = try await fixture.open(second).snapshot(id)
        }
    }

    @Test("Of two rotations at once one is refused before it changes anything")
    func refusesTheSecondOfTwo() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .put, keys: .exactly(.config(2)), occurrence: .only(1)))
            let slower = Task { try await keys.rotate(cost: .test) }
            try await gate.waitForArrivals(1)
            let rotation = try await keys.rotate(cost: .test)
            gate.open()
            await expectCode(.conflict) { try await slower.value }
            #expect(rotation.epoch == 2)
            #expect(try await fixture.keys(.keySlot).map(\.name) == rotation.added)
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("Two rotations at once lose no secret: the one that sees the other removes nothing, the next one joins them")
    func joinsRotations() async throws {
        try await TestRepository.with { fixture in
            let (a, b) = ([TestFile("a", count: 50_000, seed: 1)], [TestFile("b", count: 50_000, seed: 2)])
            let first = try await fixture.backUp(a)
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            _ = try await keys.add(password: second, metadata: .test("second"), cost: .test)
            let gate = Gate()
            fixture.store.add(Fault(.hold(gate), on: .put, keys: .kind(.keySlot), occurrence: .only(1)))
            let slower = Task { try await keys.rotate(keeping: [second], cost: .test) }
            try await gate.waitForArrivals(1)
            let other = try await RepositoryKeys.open(at: fixture.target, password: second)
            #expect(try await other.rotate(cost: .test).epoch == 3)
            let last = try await TestSession(fixture.open(second)).backUp(b)
            gate.open()
            await expectCode(.conflict) { try await slower.value }
            #expect(try await fixture.keys(.keySlot).count == 3)

            let joined = try await RepositoryKeys.open(at: fixture.target, password: .test)
                .rotate(keeping: [second], cost: .test)
            #expect(joined.epoch == 4)
            #expect(try await fixture.keys(.keySlot).count == 2)
            for password in [Secret.test, second] {
                let repository = try await fixture.open(password)
                try await repository.expect(a, in: first)
                try await repository.expect(b, in: last)
            }
            #expect(try await fixture.check(.all).findings.isEmpty)
        }
    }

    @Test("After a rotation the state of before is refused by whoever has seen the new one")
    func refusesOldConfiguration() async throws {
        try await TestRepository.with { fixture in
            _ = try await RepositoryKeys.open(at: fixture.target, password: .test).rotate(cost: .test)
            _ = try await fixture.open()
            try await fixture.target.delete([.config(2)])
            await expectCode(.damaged) { try await fixture.open() }
            // A machine that has not seen it can't know.
            _ = try await fixture.open(cache: false)
        }
    }

    @Test("A rotation with a password that opens nothing changes nothing")
    func refusesUnknownPassword() async throws {
        try await TestRepository.with { fixture in
            let keys = try await RepositoryKeys.open(at: fixture.target, password: .test)
            let before = try await fixture.keys(.keySlot)
            await expectCode(.wrongPassword) { try await keys.rotate(keeping: [second], cost: .test) }
            #expect(try await fixture.keys(.keySlot) == before)
        }
    }
}
