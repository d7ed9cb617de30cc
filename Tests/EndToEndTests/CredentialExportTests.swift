import Foundation
import HawserTestServer
import Testing

/// `hawser credentials`, with hawser itself as the other program: it takes a `credential_process`, too.
@Suite("Credentials for other programs")
struct CredentialExportTests {
    @Test("Another program reads the tenant's folder, and nothing else; the provider has it in his audit log")
    func reading() async throws {
        try await ProviderScene.run(ProviderScene.exporting("read")) { scene in
            try await scene.backUp("mine")
            let tenant = scene.tenant
            let neighbour = try await scene.neighbour()

            let given = try await tenant.hawser("credentials", "--verbose")
            given.expect(0)
            let object = try #require(given.objects.first)
            #expect(given.objects.count == 1 && object["Version"] as? Int == 1)
            for field in ["SecretAccessKey", "SessionToken"] {
                let secret = try #require(object[field] as? String)
                scene.addSecret(secret)
                #expect(!String(decoding: given.errors, as: UTF8.self).contains(secret))
            }
            let notes = String(decoding: given.errors, as: UTF8.self)
            for text in [scene.storage.endpoint, "hawser (path-style)", try scene.folder()] {
                #expect(notes.contains(text), "\(text)")
            }
            let quiet = try await tenant.hawser("credentials", "--quiet", "--format", "env")
            quiet.expect(0)
            #expect(quiet.errors.isEmpty && quiet.text.hasPrefix("export AWS_ACCESS_KEY_ID='"))

            let other = try otherProgram(scene, "--purpose", "restore")
            let place = "s3:\(scene.storage.endpoint)/hawser/" + (try scene.folder())
            try await tenant.hawser("check", "--read-data", "-r", place, changing: other).expect(0)
            try await tenant.hawser("backup", tenant.source, "-r", place, changing: other).expect(14)
            let foreign = "s3:\(scene.storage.endpoint)/hawser/\(neighbour)"
            try await tenant.hawser("snapshots", "-r", foreign, changing: other).expect(14)

            let log = try await scene.system.provider("audit", "list", "--action", "credential.export", "--json")
            let devices = try await scene.system.provider("device", "list", "acme", "--json")
            let laptop = devices.objects.compactMap { $0["device"] as? [String: Any] }
                .first { $0["name"] as? String == "laptop" }
            let device = try #require(laptop?["id"] as? String)
            #expect(log.objects.count >= 3)
            for entry in log.objects {
                #expect(entry["actor"] as? String == device)
                #expect((entry["detail"] as? String)?.hasPrefix("restore ") == true)
            }
            #expect(!scene.isSecret(in: log.allText))
            try await scene.system.provider("audit", "verify")
        }
    }

    @Test("What is forbidden, or can't be had, is refused with its reason, and nothing is printed")
    func refusals() async throws {
        try await ProviderScene.run(ProviderScene.exporting("read")) { scene in
            let tenant = scene.tenant
            func expect(
                _ code: Int32,
                _ reason: String,
                _ arguments: [String] = [],
                after change: [String]
            ) async throws {
                try await scene.system.provider(arguments: ["repository", "update", "main"] + change)
                let refused = try await tenant.start(["credentials", "--json"] + arguments).result()
                refused.expect(code)
                #expect(refused.objects.count == 1, "\(refused)")
                #expect(refused.message("exit_error")?["reason"] as? String == reason, "\(refused)")
                // Nothing but the message goes to either stream.
                #expect(!refused.allText.lowercased().contains("session_token"))
            }
            try await expect(14, "access_denied", ["--purpose", "backup"], after: ["--credential-export", "read"])
            try await expect(14, "access_denied", after: ["--credential-export", "none"])
            try await expect(14, "access_denied", after: ["--credential-export", "all", "--access", "shared"])
            try await expect(1, "unsupported", after: ["--access", "tickets"])
            try await expect(1, "unsupported", after: ["--access", "sts", "--mode", "gateway"])
            let insider = ["--mode", "direct", "--insider-protection", "7"]
            try await expect(14, "access_denied", ["--purpose", "full"], after: insider)
            let log = try await scene.system.provider("audit", "list", "--action", "credential.export", "--json")
            #expect(log.objects.isEmpty)
            try await tenant.hawser("credentials", "-r", "/somewhere").expect(64)
        }
    }

    /// The environment of a program that gets its credentials from `hawser credentials`.
    private func otherProgram(_ scene: ProviderScene, _ options: String...) throws -> [String: String] {
        let command = ([try HawserBinary.path(), "credentials", "-r", "provider:office", "--quiet"] + options)
        let file = scene.tenant.directory.path + "/aws-config"
        try Data("[profile office]\ncredential_process = \(command.joined(separator: " "))\n".utf8)
            .write(to: URL(filePath: file))
        return ["AWS_CONFIG_FILE": file, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "office"]
    }
}
