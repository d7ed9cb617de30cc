import HawserFormat
import HawserStorage
import HawserTesting
import HawserTransfer
import Testing

@testable import HawserRepository

@Suite("Features that only inform")
struct FeatureTests {
    @Test("A further generation of the configuration has them, and everything else as it was")
    func written() async throws {
        try await TestRepository.with { fixture in
            let id = try await fixture.backUp([TestFile("a", count: 1_000, seed: 1)])
            let before = try await fixture.open()
            try await before.setInfoFeatures(["storage.versioning"], replacing: "storage.")
            let after = try await fixture.open()
            #expect(after.config.header.generation == 2)
            #expect(after.config.header.features == FeatureFlags(info: ["storage.versioning"]))
            #expect(after.config.secrets == before.config.secrets && !after.isReadOnly)
            try await after.expect([TestFile("a", count: 1_000, seed: 1)], in: id)

            try await after.setInfoFeatures(["storage.versioning"], replacing: "storage.")
            #expect(try await fixture.keys("config/").count == 2)
            try await after.setInfoFeatures(["storage.no-versioning"], replacing: "storage.")
            #expect(try await fixture.open().config.header.features.info == ["storage.no-versioning"])
        }
    }

    @Test("Of two that change the configuration at the same time one is told")
    func conflict() async throws {
        try await TestRepository.with { fixture in
            let repository = try await fixture.open()
            try await repository.setInfoFeatures(["storage.versioning"], replacing: "storage.")
            await expectCode(.conflict) {
                try await repository.setInfoFeatures(["storage.sts"], replacing: "storage.")
            }
            #expect(try await fixture.open().config.header.features.info == ["storage.versioning"])
        }
    }
}
