import Crypto
import Foundation
import HTTPTypes
import HawserFormat
import Testing

@testable import HawserTestServer

/// Requests that botocore signed: `Tests/Fixtures/signatures/generate` makes them.
struct SignedFixtures: Decodable {
    struct Request: Decodable, CustomTestStringConvertible, Sendable {
        var name: String
        var method: String
        var target: String
        var headers: [String: String]
        var body: String
        var token: String?
        var service: String

        var testDescription: String { name }

        func incoming() throws -> IncomingRequest {
            var head = HTTPRequest(
                method: try #require(HTTPRequest.Method(rawValue: method)),
                scheme: "http",
                authority: headers["host"],
                path: target
            )
            for (name, value) in headers where name != "host" {
                head.headerFields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
            }
            return try IncomingRequest(head, domain: "localhost", isSecure: false)
        }
    }

    var time: String
    var region: String
    var accessKeyID: String
    var secretAccessKey: String
    var requests: [Request]

    static let all: SignedFixtures = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        do {
            let data = try Data(contentsOf: folder.appending(path: "Fixtures/signatures/requests.json"))
            return try JSONDecoder().decode(SignedFixtures.self, from: data)
        } catch {
            Issue.record(error)
            return SignedFixtures(time: "", region: "", accessKeyID: "", secretAccessKey: "", requests: [])
        }
    }()

    func authenticate(_ request: Request, secondsLater: Int64 = 0) throws -> Identity {
        let time = try #require(Timestamp(extended: time))
        var configuration = S3TestServer.Configuration()
        configuration.region = region
        configuration.now = { Timestamp(seconds: time.seconds + secondsLater) }
        configuration.users = [.init(accessKeyID: accessKeyID, secretAccessKey: secretAccessKey)]
        let accounts = Accounts(configuration.users)
        if let token = request.token {
            accounts.begin(
                Account(accessKeyID: accessKeyID, secretAccessKey: secretAccessKey, token: token, policies: [])
            )
        }
        let body = hexadecimal(SHA256.hash(data: Array(request.body.utf8)))
        return try Authenticator(configuration: configuration, accounts: accounts, roles: RoleTable())
            .authenticate(
                try request.incoming(),
                payload: request.service == "sts" ? body : nil,
                service: request.service
            )
    }
}

@Suite struct SignatureTests {
    @Test func thereAreFixtures() {
        #expect(SignedFixtures.all.requests.count > 50)
    }

    @Test(arguments: SignedFixtures.all.requests)
    func whatBotocoreSignsIsAccepted(_ request: SignedFixtures.Request) throws {
        #expect(try SignedFixtures.all.authenticate(request).accessKeyID == "AKTEST")
    }

    @Test(arguments: SignedFixtures.all.requests)
    func anotherPathMethodOrHeaderIsRefused(_ request: SignedFixtures.Request) throws {
        var other = request
        other.target = request.target.replacing("/", with: "/z", maxReplacements: 1)
        #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }

        other = request
        other.method = request.method == "GET" ? "PUT" : "GET"
        #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }

        other = request
        other.headers["host"] = "elsewhere:9000"
        #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }

        other = request
        other.headers["x-amz-meta-added"] = "unsigned"
        #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }
    }

    @Test func everySignedHeaderCounts() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "put with conditions and metadata" })
        for name in ["if-none-match", "content-type", "x-amz-meta-note", "x-amz-content-sha256", "x-amz-date"] {
            var other = request
            other.headers[name] = try #require(other.headers[name]) + "0"
            #expect(throws: ServiceError.self, "\(name)") { try SignedFixtures.all.authenticate(other) }
            other.headers[name] = nil
            #expect(throws: ServiceError.self, "without \(name)") { try SignedFixtures.all.authenticate(other) }
        }
    }

    @Test func everyQueryItemCounts() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "list with hard values" })
        for (text, other) in [("list-type=2", "list-type=1"), ("%C3%A9", "e%CC%81"), ("delimiter=%2F", "delimiter=")] {
            var changed = request
            changed.target = request.target.replacing(text, with: other)
            #expect(changed.target != request.target)
            #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(changed) }
        }
        var added = request
        added.target += "&max-keys=1"
        #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(added) }
    }

    @Test func signedHeadersOfPresignedRequestsBindTheHolder() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "presigned put with signed headers" })
        for (name, value) in [("content-length", "6"), ("if-none-match", "\"x\"")] {
            var other = request
            other.headers[name] = value
            #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }
        }
    }

    @Test func aClockThatIsOffIsToldTheTime() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "head" })
        #expect(try SignedFixtures.all.authenticate(request, secondsLater: 900).accessKeyID == "AKTEST")
        #expect(try SignedFixtures.all.authenticate(request, secondsLater: -900).accessKeyID == "AKTEST")
        for seconds: Int64 in [901, -901] {
            let error = #expect(throws: ServiceError.self) {
                try SignedFixtures.all.authenticate(request, secondsLater: seconds)
            }
            #expect(error?.code == "RequestTimeTooSkewed")
            #expect(error?.details.contains { $0.name == "ServerTime" } == true)
        }
    }

    @Test func presignedRequestsExpire() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "presigned get 0" })
        #expect(try SignedFixtures.all.authenticate(request, secondsLater: 300).accessKeyID == "AKTEST")
        let late = #expect(throws: ServiceError.self) {
            try SignedFixtures.all.authenticate(request, secondsLater: 301)
        }
        #expect(late?.message == "Request has expired")
        let early = #expect(throws: ServiceError.self) {
            try SignedFixtures.all.authenticate(request, secondsLater: -901)
        }
        #expect(early?.message == "Request is not valid yet")
    }

    @Test func tokensMustBeThoseThatWereGiven() throws {
        let request = try #require(SignedFixtures.all.requests.first { $0.name == "token" })
        var other = request
        other.token = "another"
        let wrong = #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }
        #expect(wrong?.code == "InvalidToken")
        // The user's own key takes none.
        other.token = nil
        let unexpected = #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(other) }
        #expect(unexpected?.code == "InvalidToken")
    }

    @Test(arguments: [
        ("AWS4-HMAC-SHA256 Credential=AKTEST/20261125/eu-central-1/s3/aws4_request", "AuthorizationHeaderMalformed"),
        ("AWS AKTEST:signature", "InvalidArgument"),
        (
            "AWS4-HMAC-SHA256 Credential=AKTEST/20261125/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            "AuthorizationHeaderMalformed"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKTEST/20261125/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=0",
            "AuthorizationHeaderMalformed"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKTEST/20261124/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            "AuthorizationHeaderMalformed"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=NOBODY/20261125/eu-central-1/s3/aws4_request, "
                + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=0",
            "InvalidAccessKeyId"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKTEST/20261125/eu-central-1/s3/aws4_request, "
                + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=0",
            "SignatureDoesNotMatch"
        ),
    ])
    func refusalsHaveTheirCodes(_ header: String, _ code: String) throws {
        var request = try #require(SignedFixtures.all.requests.first { $0.name == "head" })
        request.headers["authorization"] = header
        let error = #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(request) }
        #expect(error?.code == code)
    }

    @Test func aRequestWithoutSignatureIsRefused() throws {
        var request = try #require(SignedFixtures.all.requests.first { $0.name == "head" })
        request.headers["authorization"] = nil
        let error = #expect(throws: ServiceError.self) { try SignedFixtures.all.authenticate(request) }
        #expect(error?.code == "AccessDenied")
    }
}
