import Crypto
import Testing

@testable import HawserFormat

/// Objects made of the fixtures' secrets, with 0, 1, 2, … as salt and as nonce. A change here is a change of the format:
/// other programs and older versions could not read what is written.
struct GoldenObjectTests {
    private let counting = ObjectFixtures.counting

    private func sha256(_ bytes: [UInt8]) -> String { ObjectName(hashOf: bytes).hex }

    @Test func sealedPart() throws {
        let sealed = try ObjectFixtures.sealer.seal(Array("body".utf8), kind: .dataPackTrailer, padding: .exact(16))
        let object = sealed.hex
        #expect(
            object == """
                484157534552310a0701010200000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f1577\
                1265590a2ee12ce0a9c79a2cfc9b19d9213837a0c883266a4f86088f9185000102030405060708090a0bf10b3adb7fd2fba6\
                162a79b047fc244f451b4c8ec74c1f83a24711ded00510fa
                """
        )
    }

    @Test func configuration() throws {
        let object = try ObjectFixtures.config.encode(ObjectFixtures.ring, random: counting)
        let clear = object.prefix(179).hex
        #expect(
            clear == """
                484157534552310a01010100000000005a000000012011111111111111111111111111111111111111111111111111111111\
                1111111102040100000004000500060007130667656172363400000400000010000000400008120566697865640000400000\
                00400000004000090101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fbf7260d02c0eda1c\
                a4acb1b9133647524f0e3f3e368355e9ae6890ec74a46ce60001020304
                """
        )
        let hash = sha256(object)
        #expect(hash == "d0bdcf63a30b60d44cbef323efd0f0684dfb283ebfc0628f9a139add2c1da85e")
    }

    @Test func keySlot() throws {
        let slot = try KeySlot.seal(
            ObjectFixtures.ring,
            metadata: ObjectFixtures.slotMetadata,
            password: Secret(Array("correct horse".utf8)),
            cost: ScryptParameters(cost: 16, blockSize: 8, parallelism: 1),
            random: counting
        )
        let clear = slot.bytes.prefix(37).hex
        #expect(clear == "484157534552310a020101000000000011000000010101020c100000000800000001000000")
        let name = slot.name.hex
        #expect(name == "73310aaaa7e28c9abbb4f003a009259990ca36ba8eca34f25b65e9328505ab0d")
    }

    @Test func indexSegment() throws {
        var body: [UInt8] = []
        ObjectFixtures.segment.appendBody(to: &body)
        let bodyHash = sha256(body)
        #expect(bodyHash == "569f97aa7b7cf338851f02746ad8675fe8d4cabb052d02a0b6412d1e7ccc2528")
        let hash = sha256(try ObjectFixtures.segment.encode(ObjectFixtures.sealer))
        #expect(hash == "53d04e078103f54e6841a0b1436e5f28dacf621e2b90e416861c633e3d888e37")
    }

    @Test func snapshot() throws {
        let json = String(decoding: try ObjectFixtures.snapshot.json().bytes, as: UTF8.self)
        #expect(
            json == #"""
                {"complete":true,"error_count":0,"excludes":["*.tmp"],"fence":18446744073709551615,\#
                "hostname":"h�st","hostname_raw":"aP9zdA==",\#
                "parent":"7591168325ee4e53348662e67ddfe78704595cdbee277397afd26ff6fa8a9554","paths":["/home",\#
                "/srv/�"],"paths_raw":[null,"L3Nydi/+"],"program_version":"hawser 1.0.0","session":"s-1",\#
                "summary":{"backup_end":"2026-02-01T00:01:00.000000000Z",\#
                "backup_start":"2026-02-01T00:00:00.123456789Z","data_added":0,"data_added_packed":0,\#
                "dirs_changed":0,"dirs_new":0,"dirs_unmodified":0,"files_changed":0,"files_new":0,\#
                "files_unmodified":0,"total_bytes_processed":9007199254740993,"total_dirs_processed":0,\#
                "total_files_processed":3,"total_others_processed":0},"tags":["daily"],\#
                "time":"2026-02-01T00:00:00.123456789Z",\#
                "tree":"1993a3c633cf3e4fd898beaccbf56c1544235cd8f97396e3cbe30952502a5167","tree_height":2,\#
                "username":"anna"}
                """#
        )
        let id = try ObjectFixtures.snapshot.encode(ObjectFixtures.sealer).id.hex
        #expect(id == "af65b627cc634a06b6db280cb922552800d0399b9ce188662491551ac95b7b4e")
    }

    @Test func checkpoint() throws {
        let json = String(decoding: try ObjectFixtures.checkpoint.json().bytes, as: UTF8.self)
        #expect(
            json == #"""
                {"backup_start":"2026-02-01T00:00:00.000000000Z","excludes":[],"fence":7,"file_page":"AQABAQAAAAAAkA\#
                FhA2JpZwCAIMCf9JcNAQAAAAAAAAAAAAEJJgHoB55oE/KvFQ2Q0x24FWNhzxozS+lp7uHZEsHK3YMhSjiGA5gY",\#
                "file_size":1152921504606846976,"hostname":"host","last_path":"/a/�","last_path_raw":"L2Ev/w==",\#
                "parent":"7591168325ee4e53348662e67ddfe78704595cdbee277397afd26ff6fa8a9554","paths":["/home"],\#
                "program_version":"hawser 1.0.0","session":"s-1","time":"2026-02-01T00:10:00.000000000Z",\#
                "tree":"475a6d7381a8a3c8b8f9e57f0e195303d478256d6948758bec72167f38248fc7","tree_height":1,\#
                "username":"anna"}
                """#
        )
        let name = try ObjectFixtures.checkpoint.encode(ObjectFixtures.sealer).name.hex
        #expect(name == "71260d95ba19264d1f095eda157183278d9ae211e99ac55566403defb5dc9d19")
    }

    @Test func refs() throws {
        let packs = ObjectFixtures.condemned.packs
        let base = Refs.Base(snapshot: ObjectFixtures.name(50), name: ObjectFixtures.name(60))
        let delta = Refs(
            snapshot: ObjectFixtures.name(100),
            generation: 2,
            packs: Array(packs.prefix(2)),
            base: base,
            basePacks: packs
        )
        #expect(delta.base == base)
        let full = try ObjectFixtures.refs.encode().hex
        #expect(
            full == """
                484157534552310a0d01000000000000bff6e2ac5d789bdc201ff53f9f736973f714f2d1f94a55dde8845d8365a8511f0100\
                0000000300000048d2552fe79c09b22b2eb20994b2d79da7d8b680809ccb6b93198f8c7f691c54ea030000017591168325ee\
                4e53348662e67ddfe78704595cdbee277397afd26ff6fa8a9554e90300000089a87a902543bd812ccafa64a09da2430ea2de\
                19c128bfa2669cc15c271ff497e8030000011f9581555966c62d8fe85953e7d329fec9683f29e3fd73b3ab04060a8c3a3f58
                """
        )
        let difference = try delta.encode().hex
        #expect(
            difference == """
                484157534552310a0d01000000000000bff6e2ac5d789bdc201ff53f9f736973f714f2d1f94a55dde8845d8365a8511f0200\
                00000181d3099ad8be2374e7df174899485e53801a64f7336fe9f5308a8136690b81e4a003332817a4a8dd3e1108b1ed94cb\
                2fb06f7058e2f67403c126e22de76979d9000000000100000089a87a902543bd812ccafa64a09da2430ea2de19c128bfa266\
                9cc15c271ff497de000e4b97c8c5b17890129bc1bd2bc6a2bbf534b141c99f6bc01037e6f41dfa
                """
        )
    }

    @Test func condemned() throws {
        let object = try ObjectFixtures.condemned.encode().hex
        #expect(
            object == """
                484157534552310a0f010000000000002a0000000000000080977e6900000000050000000300000048d2552fe79c09b22b2e\
                b20994b2d79da7d8b680809ccb6b93198f8c7f691c54ea030000017591168325ee4e53348662e67ddfe78704595cdbee2773\
                97afd26ff6fa8a9554e90300000089a87a902543bd812ccafa64a09da2430ea2de19c128bfa2669cc15c271ff497e8030000\
                01345910e2a91492065de2f25d5f8a37864e3e95e25cf2149db4f28884ef34de7b
                """
        )
    }
}
