import Foundation
import HawserTestServer
import Testing

@testable import EndToEndTests

/// Real rclone as a tenant's other program: it gets its credentials from `hawser credentials`, as AWS' `credential_process`,
/// and reaches a storage with temporary credentials and session policies.
@Suite("Other programs", .needsServer, .needs("RCLONE"), .serialized)
struct OtherProgramTests {
    private struct Rclone {
        let program: String
        let environment: [String: String]

        init(_ scene: ProviderScene, purpose: String) throws {
            program = try #require(TestedServer.current?.extra("RCLONE"))
            let hawser = try HawserBinary.path()
            let settings = """
                [profile office]
                credential_process = \(hawser) credentials -r provider:office --quiet --purpose \(purpose)
                region = us-east-1
                """
            let file = scene.tenant.directory.path + "/aws-\(purpose)"
            try Data(settings.utf8).write(to: URL(filePath: file))
            // Without the keys of the server that this suite is run against.
            var environment = scene.tenant.environment.filter { !$0.key.hasPrefix("AWS_") }
            environment["AWS_EC2_METADATA_DISABLED"] = "true"
            environment["AWS_CONFIG_FILE"] = file
            environment["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null"
            environment["RCLONE_CONFIG"] = "/dev/null"
            let place = [
                "TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "PROFILE": "office", "REGION": "us-east-1",
                "ENDPOINT": scene.storage.endpoint, "FORCE_PATH_STYLE": "true", "NO_CHECK_BUCKET": "true",
            ]
            for (name, value) in place { environment["RCLONE_CONFIG_OFFICE_\(name)"] = value }
            self.environment = environment
        }

        func callAsFunction(_ arguments: String...) async throws -> CommandResult {
            // What is refused is refused at once.
            let command = arguments + ["--retries", "1", "--low-level-retries", "1"]
            return try await RunningCommand(program, command, environment: environment).result()
        }
    }

    @Test("rclone copies the tenant's folder, which can be restored from; it can't write there, nor read a neighbour's")
    func reading() async throws {
        try await ProviderScene.run(ProviderScene.exporting("read")) { scene in
            try await scene.backUp("mine")
            let neighbour = try await scene.neighbour()
            let folder = try scene.folder()
            let rclone = try Rclone(scene, purpose: "restore")
            let copy = scene.tenant.directory.path + "/copy"
            try await rclone("copy", "office:hawser/\(folder)", copy).expect(0)
            for key in try #require(scene.storage.keys(in: "hawser", prefix: folder)) {
                let bytes = try Data(contentsOf: URL(filePath: copy + "/" + key.dropFirst(folder.count)))
                #expect(try await scene.storage.object(key, in: "hawser").map { Data($0) } == bytes, "\(key)")
            }
            try await scene.tenant.hawser("check", "--read-data", "-r", copy).expect(0)
            try await scene.tenant.hawser("restore", "latest", "-r", copy, "--target", copy + "-restored").expect(0)
            try await TreeComparison.expectEqual(
                scene.tenant.source,
                copy + "-restored" + scene.tenant.source
            )

            let file = scene.tenant.source + "/mine"
            let before = scene.storage.keys(in: "hawser")
            #expect(try await rclone("copyto", file, "office:hawser/\(folder)other/file").status != 0)
            let key = try #require(before?.first { $0.hasPrefix(folder) })
            #expect(try await rclone("deletefile", "office:hawser/\(key)").status != 0)
            #expect(scene.storage.keys(in: "hawser") == before)
            #expect(try await rclone("lsf", "office:hawser/\(neighbour)").status != 0)
            #expect(try await rclone("copy", "office:hawser/\(neighbour)", copy + "-foreign").status != 0)
            #expect(try await rclone("lsf", "office:hawser").status != 0)
        }
    }

    @Test("rclone stores and deletes with what is for that, and hawser's own data stays whole beside it")
    func writing() async throws {
        try await ProviderScene.run(ProviderScene.exporting("all")) { scene in
            try await scene.backUp("mine")
            let folder = try scene.folder()
            let place = "office:hawser/\(folder)rclone/file"
            let creating = try Rclone(scene, purpose: "backup")
            try await creating("copyto", scene.tenant.source + "/mine", place).expect(0)
            #expect(scene.storage.keys(in: "hawser")?.contains(folder + "rclone/file") == true)
            #expect(try await creating("deletefile", place).status != 0)
            try await scene.tenant.hawser("check", "--read-data").expect(0)
            // The provider counts it, too.
            try await scene.system.provider("quota", "reconcile", "acme")
            #expect(try await scene.used() == scene.stored())
            try await Rclone(scene, purpose: "full")("deletefile", place).expect(0)
            #expect(scene.storage.keys(in: "hawser")?.contains(folder + "rclone/file") == false)
        }
    }
}
