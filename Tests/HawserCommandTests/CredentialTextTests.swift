import ArgumentParser
import Foundation
import HawserControl
import Testing

@testable import Hawser
@testable import HawserCommand

@Suite("Credentials for other programs")
struct CredentialTextTests {
    private func exported(
        endpoint: String = "https://s3.example:9000",
        secret: String = "se/cret+\"\\",
        authority: String? = nil
    ) -> ExportedCredentials {
        ExportedCredentials(
            storage: Grant.Storage(
                kind: .compatible,
                endpoint: endpoint,
                region: "us-east-1",
                usesPathStyle: true,
                bucket: "backups",
                authority: authority
            ),
            folder: "below/one/two/",
            credentials: S3Credentials(
                accessKeyID: "ASIA1",
                secretAccessKey: Secret(Array(secret.utf8)),
                sessionToken: Secret(Array("token==".utf8)),
                expiration: Timestamp(text: "2026-01-31T23:59:59.000000000Z")
            )
        )
    }

    private func text(_ exported: ExportedCredentials, _ form: CredentialText.Form) -> String {
        CredentialText.withBytes(of: exported, as: form) { String(decoding: $0, as: UTF8.self) }
    }

    @Test("are what AWS' credential_process wants")
    func awsProcess() throws {
        let text = text(exported(), .awsProcess)
        #expect(text.hasSuffix("}\n"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["Version"] as? Int == 1)
        #expect(object["AccessKeyId"] as? String == "ASIA1")
        #expect(object["SecretAccessKey"] as? String == "se/cret+\"\\")
        #expect(object["SessionToken"] as? String == "token==")
        #expect(object["Expiration"] as? String == "2026-01-31T23:59:59Z")
        #expect(object.count == 5)
    }

    @Test("are lines in which a shell finds nothing to do")
    func env() {
        let lines = text(exported(endpoint: "https://x'$(rm -rf /)'"), .env).split(separator: "\n")
        #expect(
            lines == [
                "export AWS_ACCESS_KEY_ID='ASIA1'", "export AWS_SECRET_ACCESS_KEY='se/cret+\"\\'",
                "export AWS_SESSION_TOKEN='token=='", "export AWS_CREDENTIAL_EXPIRATION='2026-01-31T23:59:59Z'",
                "export AWS_REGION='us-east-1'", "export AWS_ENDPOINT_URL_S3='https://x'\\''$(rm -rf /)'\\'''",
            ]
        )
    }

    @Test("are one object with --json, with the place")
    func json() throws {
        let object = try #require(try JSONValue(parsing: Array(text(exported(authority: "PEM\n"), .json).utf8)).object)
        #expect(object["message_type"]?.string == "credentials")
        #expect(object["endpoint"]?.string == "https://s3.example:9000" && object["bucket"]?.string == "backups")
        #expect(object["folder"]?.string == "below/one/two/" && object["path_style"]?.bool == true)
        #expect(object["certificate_authority"]?.string == "PEM\n")
        #expect(object["secret_access_key"]?.string == "se/cret+\"\\")
    }

    @Test("come with notes that have no secret and nothing that a terminal obeys")
    func notes() throws {
        let command = try #require(
            try RootCommand.parseAsRoot(["credentials", "-r", "provider:office"]) as? CredentialsCommand
        )
        let notes = command.notes(exported(endpoint: "https://\u{1b}[31m")).joined(separator: "\n")
        #expect(notes.contains("below/one/two/") && notes.contains("backups (path-style)"))
        #expect(!notes.contains("se/cret") && !notes.contains("token") && !notes.utf8.contains(0x1B))
        #expect(notes.contains("Allowed   read"))
    }

    @Test(
        "are for purposes and formats that there are",
        arguments: [["--purpose", "prune"], ["--format", "ini"], ["--format", "env", "--json"]]
    )
    func usage(arguments: [String]) {
        #expect { try RootCommand.parseAsRoot(["credentials", "-r", "provider:office"] + arguments) } throws: { error in
            RootCommand.exitCode(for: error).rawValue == ExitStatus.usage
        }
    }
}
