import AsyncHTTPClient
import Foundation
import HawserFormat
import Testing

@testable import HawserS3

@Suite("Where credentials come from")
struct CredentialsSourceTests {
    private static let document = """
        {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAX", "SecretAccessKey": "secret/+=",
        "Token": "token", "Expiration": "2026-11-25T23:00:00Z", "LastUpdated": "2026-11-25T17:00:00Z"}
        """

    private func expect(_ credentials: S3Credentials?, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(credentials?.accessKeyID == "ASIAX", sourceLocation: sourceLocation)
        #expect(credentials?.secretAccessKey == Secret(Array("secret/+=".utf8)), sourceLocation: sourceLocation)
        #expect(credentials?.sessionToken == Secret(Array("token".utf8)), sourceLocation: sourceLocation)
        let end = Timestamp(text: "2026-11-25T23:00:00.000000000Z")
        #expect(credentials?.expiration == end, sourceLocation: sourceLocation)
    }

    /// With files of these contents in a folder, whose path stands for `%`.
    private func withFiles<Result>(
        _ files: [String: String],
        _ body: (String) async throws -> Result
    ) async throws -> Result {
        let folder = FileManager.default.temporaryDirectory.path + "/hawser-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (name, text) in files { try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8) }
        return try await body(folder)
    }

    private func expect(
        _ code: HawserError.Code,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> S3Credentials?
    ) async {
        do {
            let found = try await body()
            Issue.record("\(found?.accessKeyID ?? "nothing") was found", sourceLocation: sourceLocation)
        } catch {
            #expect((error as? HawserError)?.code == code, sourceLocation: sourceLocation)
        }
    }

    // MARK: Environment

    @Test("The environment, with and without a session token; half a pair is an error")
    func environment() async throws {
        let variables = ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": ""]
        let found = try await EnvironmentCredentials(AWSEnvironment(variables)).load()
        #expect(found?.accessKeyID == "a" && found?.sessionToken == nil)
        #expect(try await EnvironmentCredentials(AWSEnvironment(["AWS_ACCESS_KEY_ID": ""])).load() == nil)
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let half = EnvironmentCredentials(AWSEnvironment([name: "x"]))
            await expect(.accessDenied) { try await half.load() }
        }
    }

    // MARK: Container

    @Test("A container's endpoint, with the token of a file before that of the environment")
    func container() async throws {
        try await withFiles(["token": "from the file\n"]) { folder in
            try await LoopbackEndpoint.with(.init(200, Self.document)) { endpoint in
                var variables = [
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url + "/v2/credentials?id=1",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "from the environment",
                ]
                expect(try await ContainerCredentials(AWSEnvironment(variables)).load())
                variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = folder + "/token"
                expect(try await ContainerCredentials(AWSEnvironment(variables)).load())
                #expect(
                    endpoint.questions.map { $0.headers["authorization"] } == ["from the environment", "from the file"]
                )
                #expect(endpoint.questions.allSatisfy { $0.method == "GET" && $0.path == "/v2/credentials?id=1" })
                variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = folder + "/missing"
                await expect(.accessDenied) { try await ContainerCredentials(AWSEnvironment(variables)).load() }
            }
        }
    }

    @Test(
        "Addresses that would send the token away in clear are refused",
        arguments: [
            "http://example.com/x", "http://10.0.0.1/x", "http://127.0.0.1.example.com/", "ftp://127.0.0.1/", "x",
        ]
    )
    func refusedAddress(address: String) async throws {
        let source = ContainerCredentials(AWSEnvironment(["AWS_CONTAINER_CREDENTIALS_FULL_URI": address]))
        await expect(.accessDenied) { try await source.load() }
    }

    @Test("An endpoint that refuses, is out of order, or gives something else")
    func badAnswers() async throws {
        let answers: [(LoopbackEndpoint.Answer, HawserError.Code)] = [
            (.init(403), .accessDenied), (.init(500), .unavailable), (.init(200, "<html>"), .accessDenied),
            (.init(200, "{}"), .accessDenied),
        ]
        for (answer, expected) in answers {
            try await LoopbackEndpoint.with(answer) { endpoint in
                let variables = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url]
                await expect(expected) { try await ContainerCredentials(AWSEnvironment(variables)).load() }
            }
        }
    }

    // MARK: Instance

    @Test("The metadata service, with a session token")
    func instance() async throws {
        let answer = { @Sendable (question: LoopbackEndpoint.Question) -> LoopbackEndpoint.Answer in
            let isAllowed = question.headers["x-aws-ec2-metadata-token"] == "tok=="
            switch (question.method, question.path) {
            case ("PUT", "/latest/api/token"): return .init(200, "tok==")
            case ("GET", "/latest/meta-data/iam/security-credentials/") where isAllowed: return .init(200, "role-1\n")
            case ("GET", "/latest/meta-data/iam/security-credentials/role-1") where isAllowed:
                return .init(200, Self.document)
            default: return .init(401)
            }
        }
        try await LoopbackEndpoint.with(answer) { endpoint in
            var variables = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint.url + "/"]
            expect(try await InstanceCredentials(AWSEnvironment(variables)).load())
            #expect(endpoint.questions.first?.headers["x-aws-ec2-metadata-token-ttl-seconds"] != nil)
            variables["AWS_EC2_METADATA_DISABLED"] = "true"
            let count = endpoint.questions.count
            #expect(try await InstanceCredentials(AWSEnvironment(variables)).load() == nil)
            #expect(endpoint.questions.count == count)
        }
    }

    @Test("No metadata service, or something else at its address, is no error")
    func noInstance() async throws {
        let closed = AWSEnvironment(["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"])
        #expect(try await InstanceCredentials(closed).load() == nil)
        try await LoopbackEndpoint.with(.init(404, "not found")) { endpoint in
            let other = AWSEnvironment(["AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint.url])
            let found = try await InstanceCredentials(other).load()
            #expect(found == nil)
        }
    }

    // MARK: Profiles

    private func profile(
        _ config: String,
        credentials: String = "",
        name: String? = nil,
        endpoint: String = "http://127.0.0.1:1"
    ) async throws -> S3Credentials? {
        try await withFiles(["config": config, "credentials": credentials, "jwt": "web token\n"]) { folder in
            let environment = AWSEnvironment([
                "AWS_CONFIG_FILE": folder + "/config", "AWS_SHARED_CREDENTIALS_FILE": folder + "/credentials",
            ])
            let client = STSClient(STSEndpoint(url: endpoint, region: "eu-central-1"), client: .shared)
            return try await ProfileCredentials(environment, profile: name, sts: client).load()
        }
    }

    private static let keys = "aws_access_key_id = a\naws_secret_access_key = s\n"

    @Test("Keys of a profile, in either file")
    func profileKeys() async throws {
        #expect(try await profile("", credentials: "[default]\n" + Self.keys)?.accessKeyID == "a")
        #expect(try await profile("[default]\n" + Self.keys)?.accessKeyID == "a")
        #expect(try await profile("[profile b]\n" + Self.keys, name: "b")?.accessKeyID == "a")
        #expect(try await profile("") == nil)
        #expect(try await profile("[default]\nregion = x\n") == nil)
    }

    @Test(
        "What is named must be there and be whole",
        arguments: [
            "", "[profile x]\nregion = y\n", "[profile x]\naws_access_key_id = a\n",
            "[profile x]\nrole_arn = r\n", "[profile x]\nrole_arn = r\nsource_profile = missing\n",
            "[profile x]\nrole_arn = r\nsource_profile = y\n[profile y]\nrole_arn = r\nsource_profile = x\n",
            "[profile x]\nrole_arn = r\nsource_profile = x\n",
            "[profile x]\nsso_session = s\n", "[profile x]\ncredential_process = exit 3\n",
            "[profile x]\ncredential_process = echo nonsense\n",
            "[profile x]\nrole_arn = r\nsource_profile = x\nmfa_serial = m\n" + keys,
        ]
    )
    func badProfile(config: String) async throws {
        await expect(.accessDenied) { try await profile(config, name: "x") }
    }

    @Test("A program gives them")
    func process() async throws {
        let document = Self.document.replacing("\n", with: " ").replacing("\"Code\"", with: "\"Version\": 1, \"Code\"")
            .replacing("\"Token\"", with: "\"SessionToken\"").replacing("23:00:00Z", with: "23:30:00+00:30")
        expect(try await profile("[default]\ncredential_process = echo '\(document)'\n"))
    }

    @Test("A role is assumed with the keys of another profile, or of its own")
    func role() async throws {
        for source in ["b", "default"] {
            let config = """
                [default]
                role_arn = arn:aws:iam::1:role/r
                source_profile = \(source)
                external_id = e x
                role_session_name = me
                duration_seconds = 900
                \(Self.keys)
                [profile b]
                \(Self.keys)
                """
            try await LoopbackEndpoint.with(.init(200, STSTests.answer("AssumeRole"))) { endpoint in
                let found = try await profile(config, endpoint: endpoint.url)
                #expect(found?.accessKeyID == "ASIAX")
                let body = endpoint.questions.first?.body ?? ""
                #expect(body.hasSuffix("&RoleSessionName=me&DurationSeconds=900&ExternalId=e%20x"))
                #expect(endpoint.questions.first?.headers["authorization"]?.contains("Credential=a/") == true)
            }
        }
    }

    // MARK: Chain

    @Test("The first place that is set up gives them, in the order of the SDKs")
    func chain() async throws {
        try await withFiles(["credentials": "[default]\n" + Self.keys, "jwt": "web token\n"]) { folder in
            try await LoopbackEndpoint.with(.init(200, STSTests.answer("AssumeRoleWithWebIdentity"))) { endpoint in
                var variables = [
                    "AWS_SHARED_CREDENTIALS_FILE": folder + "/credentials", "AWS_CONFIG_FILE": folder + "/config",
                    "AWS_WEB_IDENTITY_TOKEN_FILE": folder + "/jwt", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                    "AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s", "AWS_EC2_METADATA_DISABLED": "true",
                ]
                let client = STSClient(STSEndpoint(url: endpoint.url, region: "x"), client: .shared)
                func expectKey(_ key: String?, sourceLocation: SourceLocation = #_sourceLocation) async throws {
                    let chain = try CredentialsChain.standard(AWSEnvironment(variables), sts: client)
                    let found = try await chain.load()
                    #expect(found?.accessKeyID == key, sourceLocation: sourceLocation)
                }
                try await expectKey("env")
                variables["AWS_ACCESS_KEY_ID"] = nil
                variables["AWS_SECRET_ACCESS_KEY"] = nil
                try await expectKey("ASIAX")
                #expect(endpoint.questions.first?.body.contains("&WebIdentityToken=web%20token") == true)
                #expect(endpoint.questions.first?.headers["authorization"] == nil)
                variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = nil
                try await expectKey("a")
                variables["AWS_SHARED_CREDENTIALS_FILE"] = folder + "/missing"
                try await expectKey(nil)
            }
        }
    }
}
