import Foundation
import HawserTestServer
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Reads the whole memory of a backup while it runs, as root, again and again.
@Suite("The memory of a backup", .serialized)
struct MemoryTests {
    private func places(_ process: pid_t, _ secrets: [String]) async throws -> Set<String>? {
        try await MemorySearch.places(of: secrets.map { Data($0.utf8) }, in: process)
    }

    @Test(
        "has the storage's secrets nowhere but in the moment of a signature, in no form",
        .enabled(if: MemorySearch.isPossible, "only root may read the memory of a process"),
        arguments: [["--access", "shared"], ["--access", "sts", "--sts-role", "arn:aws:iam::1:role/tenants"]]
    )
    func search(access: [String]) async throws {
        var configuration = S3TestServer.Configuration()
        // New ones come while it runs.
        configuration.grantedSessionDuration = .seconds(6)
        try await ProviderScene.run(access, configuration: configuration) { scene in
            let isTemporary = access.contains("sts")
            if isTemporary { try await scene.system.provider("storage", "check", "main") }
            try await scene.tenant.hawser("init").expect(0)
            for index in 0..<200 {
                var generator = SeededGenerator(seed: TestScale.seed &+ UInt64(index))
                try Data(generator.bytes(40_000)).write(to: URL(filePath: scene.tenant.source + "/file-\(index)"))
            }
            let own = try #require(scene.storage.secret(of: S3TestServer.Configuration.User.test.accessKeyID))
            scene.storage.resetCounts()
            let command = try scene.tenant.start(["backup", scene.tenant.source, "--limit-upload", "512", "--json"])
            defer { command.send(SIGKILL) }
            var searches = 0
            var secrets: Set<String> = []
            while true {
                secrets = Set(scene.storage.sessions.compactMap(scene.storage.secret)).union([own])
                guard let found = try await places(command.processIdentifier, secrets.sorted()) else { break }
                if scene.storage.counts[.put] > 0 { searches += 1 }
                // A signature was being made; at the same place it is gone the next time.
                var rest = found
                for _ in 0..<2 where !rest.isEmpty {
                    rest.formIntersection(try await places(command.processIdentifier, secrets.sorted()) ?? [])
                }
                #expect(rest.isEmpty)
            }
            let result = try await command.result()
            result.expect(0)
            #expect(searches >= 1)
            #expect(isTemporary == (secrets.count > 2))
            // The search finds what is in a process: the test's own memory has them.
            let here = try await places(getpid(), [own])
            #expect(here?.contains { $0.hasPrefix("found clear") } == true)
        }
    }
}
