import AsyncHTTPClient
import HawserFormat
import Testing

@testable import HawserS3

@Suite("STS")
struct STSTests {
    static func answer(_ action: String) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <\(action)Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><\(action)Result>
        <AssumedRoleUser><Arn>arn:aws:sts:::assumed-role/r/me</Arn><AssumeRoleId>x:me</AssumeRoleId></AssumedRoleUser>
        <Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>s&amp;/+=</SecretAccessKey>
        <SessionToken>token==</SessionToken><Expiration>2026-11-25T23:00:00.123Z</Expiration></Credentials>
        <PackedPolicySize>0</PackedPolicySize></\(action)Result>
        <ResponseMetadata><RequestId>tx1</RequestId></ResponseMetadata></\(action)Response>
        """
    }

    private let keys = StaticCredentials(accessKeyID: "AKID", secretAccessKey: Secret(Array("secret".utf8)))

    private func client(_ endpoint: LoopbackEndpoint) -> STSClient {
        STSClient(STSEndpoint(url: endpoint.url + "/", region: "eu-central-1"), client: .shared)
    }

    @Test("AssumeRole: the form has every byte encoded, and the request is signed for STS")
    func assumeRole() async throws {
        try await LoopbackEndpoint.with(.init(200, Self.answer("AssumeRole"))) { endpoint in
            let request = AssumeRoleRequest(
                roleARN: "arn:aws:iam:::role/backup tenant",
                sessionName: "me",
                duration: .seconds(900),
                policy: #"{"Resource":"arn:aws:s3:::b/t 1/*~é+"}"#
            )
            let found = try await client(endpoint).assumeRole(request, with: keys)
            #expect(found.accessKeyID == "ASIAX")
            #expect(found.secretAccessKey == Secret(Array("s&/+=".utf8)))
            #expect(found.sessionToken == Secret(Array("token==".utf8)))
            #expect(found.expiration == Timestamp(text: "2026-11-25T23:00:00.123000000Z"))
            let question = try #require(endpoint.questions.first)
            #expect(question.method == "POST" && question.path == "/")
            #expect(
                question.body
                    == "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A%3Arole%2Fbackup%20tenant"
                    + "&RoleSessionName=me&DurationSeconds=900"
                    + "&Policy=%7B%22Resource%22%3A%22arn%3Aaws%3As3%3A%3A%3Ab%2Ft%201%2F%2A~%C3%A9%2B%22%7D"
            )
            #expect(question.headers["content-type"] == "application/x-www-form-urlencoded; charset=utf-8")
            let authorization = try #require(question.headers["authorization"])
            #expect(
                authorization.contains("/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date,")
            )
        }
    }

    @Test("GetSessionToken")
    func sessionToken() async throws {
        try await LoopbackEndpoint.with(.init(200, Self.answer("GetSessionToken"))) { endpoint in
            let found = try await client(endpoint).sessionToken(duration: .seconds(3600), with: keys)
            #expect(found.accessKeyID == "ASIAX")
            let body = endpoint.questions.first?.body
            #expect(body == "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=3600")
        }
    }

    @Test("A policy of more than 2,048 characters, or no duration, is not sent")
    func limits() throws {
        var request = AssumeRoleRequest(roleARN: "r", policy: String(repeating: "é", count: 2048))
        _ = try request.form("AssumeRole")
        request.policy?.append("x")
        #expect(throws: HawserError.self) { try request.form("AssumeRole") }
        request.policy = nil
        request.duration = .milliseconds(999)
        #expect(throws: HawserError.self) { try request.form("AssumeRole") }
    }

    struct Refusal: Sendable {
        var status: Int
        var body: String
        var code: HawserError.Code
    }

    static let refusals = [
        Refusal(status: 403, body: aws("AccessDenied", "not you"), code: .accessDenied),
        Refusal(status: 400, body: aws("ExpiredToken", ""), code: .accessDenied),
        Refusal(status: 403, body: ceph("AccessDenied"), code: .accessDenied),
        Refusal(status: 404, body: ceph("NoSuchEntity"), code: .accessDenied),
        Refusal(status: 400, body: ceph("PackedPolicyTooLarge"), code: .invalidArgument),
        Refusal(status: 405, body: ceph("MethodNotAllowed"), code: .unsupported),
        Refusal(status: 503, body: aws("ServiceUnavailable", ""), code: .unavailable),
        Refusal(status: 502, body: "<html>", code: .unavailable),
        Refusal(status: 404, body: "", code: .unsupported),
        Refusal(status: 200, body: "<html><body>Log in</body></html>", code: .unavailable),
        Refusal(status: 200, body: "", code: .unavailable),
    ]

    private static func aws(_ code: String, _ message: String) -> String {
        """
        <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>\(code)</Code>
        <Message>\(message)</Message></Error><RequestId>1</RequestId></ErrorResponse>
        """
    }

    private static func ceph(_ code: String) -> String {
        #"<?xml version="1.0" encoding="UTF-8"?><Error><Code>\#(code)</Code><Message></Message><RequestId>tx</RequestId></Error>"#
    }

    @Test("Refusals are typed, AWS' and Ceph's", arguments: refusals)
    func refused(refusal: Refusal) async throws {
        try await LoopbackEndpoint.with(.init(refusal.status, refusal.body)) { endpoint in
            await #expect {
                try await client(endpoint).assumeRole(AssumeRoleRequest(roleARN: "r"), with: keys)
            } throws: { error in
                let error = error as? HawserError
                return error?.code == refusal.code
                    && error?.isRetryable == (refusal.code == .unavailable && refusal.status != 200)
            }
            #expect(endpoint.questions.count == 1)
        }
    }

    @Test("Keys that ended are renewed, and the request is made once more")
    func renewed() async throws {
        let answer = { @Sendable (question: LoopbackEndpoint.Question) -> LoopbackEndpoint.Answer in
            question.headers["authorization"]?.contains("Credential=old/") == true
                ? .init(400, Self.aws("ExpiredToken", "")) : .init(200, Self.answer("AssumeRole"))
        }
        try await LoopbackEndpoint.with(answer) { endpoint in
            let found = try await client(endpoint).assumeRole(AssumeRoleRequest(roleARN: "r"), with: OldThenNew())
            #expect(found.accessKeyID == "ASIAX")
            #expect(endpoint.questions.count == 2)
        }
    }

    private struct OldThenNew: S3CredentialsProvider {
        private let provider = RenewedCredentials(Source())

        private actor Source: S3CredentialsSource {
            private var keys = ["new", "old"]
            nonisolated var place: String { "the test" }

            func load() async throws -> S3Credentials? {
                keys.popLast().map { S3Credentials(accessKeyID: $0, secretAccessKey: Secret([1])) }
            }
        }

        func withCredentials<Result: Sendable>(
            _ use: @Sendable (S3Credentials) throws -> Result
        ) async throws -> Result {
            try await provider.withCredentials(use)
        }

        func renew(refused accessKeyID: String) async throws -> Bool {
            try await provider.renew(refused: accessKeyID)
        }
    }
}
