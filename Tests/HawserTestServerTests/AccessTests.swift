import HawserFormat
import Testing

@testable import HawserTestServer

@Suite struct AccessPolicyTests {
    private func allows(
        _ statements: String,
        _ name: String,
        _ resource: String,
        _ context: [String: String] = [:]
    ) throws -> Bool {
        try AccessPolicy(json: #"{"Version": "2012-10-17", "Statement": [\#(statements)]}"#)
            .allows(PolicyAction(name: name, resource: resource, context: context))
    }

    private let inside =
        #"{"Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": "arn:aws:s3:::b/t1/*"}"#

    @Test func actionsAndResourcesHaveWildcards() throws {
        #expect(try allows(inside, "s3:GetObject", "arn:aws:s3:::b/t1/k"))
        #expect(try allows(inside, "s3:putobject", "arn:aws:s3:::b/t1/a/b"))
        #expect(try !allows(inside, "s3:DeleteObject", "arn:aws:s3:::b/t1/k"))
        #expect(try !allows(inside, "s3:GetObject", "arn:aws:s3:::b/t10/k"))
        #expect(try !allows(inside, "s3:GetObject", "arn:aws:s3:::b/t1"))
        #expect(try !allows(inside, "s3:GetObject", "arn:aws:s3:::B/t1/k"))
    }

    @Test func denialsOutweigh() throws {
        let deny = inside + #", {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::b/t1/locked/*"}"#
        #expect(try allows(deny, "s3:GetObject", "arn:aws:s3:::b/t1/k"))
        #expect(try !allows(deny, "s3:GetObject", "arn:aws:s3:::b/t1/locked/k"))
    }

    @Test func notActionAndNotResource() throws {
        let not = #"{"Effect": "Allow", "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::b/secret/*"}"#
        #expect(try allows(not, "s3:GetObject", "arn:aws:s3:::b/k"))
        #expect(try !allows(not, "s3:DeleteObject", "arn:aws:s3:::b/k"))
        #expect(try !allows(not, "s3:GetObject", "arn:aws:s3:::b/secret/k"))
    }

    @Test(arguments: [
        (#""StringLike": {"s3:prefix": ["t1/*", "t1/"]}"#, "t1/a", true),
        (#""StringLike": {"s3:prefix": "t1/*"}"#, "t2/", false),
        (#""StringLike": {"s3:prefix": "t1/*"}"#, nil, false), (#""StringEquals": {"s3:prefix": "t1/"}"#, "t1/", true),
        (#""StringEquals": {"s3:prefix": "t1/"}"#, "t1/a", false),
        (#""StringNotEquals": {"s3:prefix": "t1/"}"#, "t2/", true),
        (#""StringNotLike": {"s3:prefix": "t1/*"}"#, "t1/a", false),
        (#""StringNotLike": {"s3:prefix": "t1/*"}"#, nil, true),
        (#""StringLikeIfExists": {"s3:prefix": "t1/*"}"#, nil, true),
    ])
    func conditions(_ condition: String, _ prefix: String?, _ isAllowed: Bool) throws {
        let statement =
            #"{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": {\#(condition)}}"#
        let context = ["s3:prefix": prefix].compactMapValues { $0 }
        #expect(try allows(statement, "s3:ListBucket", "arn:aws:s3:::b", context) == isAllowed)
    }

    @Test func numbersAndTruth() throws {
        let few =
            #"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"NumericLessThanEquals": {"s3:max-keys": 10}}}"#
        #expect(try allows(few, "s3:ListBucket", "arn:aws:s3:::b", ["s3:max-keys": "10"]))
        #expect(try !allows(few, "s3:ListBucket", "arn:aws:s3:::b", ["s3:max-keys": "11"]))
        let secure =
            #"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": true}}}"#
        #expect(try !allows(secure, "s3:ListBucket", "arn:aws:s3:::b", ["aws:securetransport": "false"]))
    }

    @Test(arguments: [
        "", "{}", #"{"Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}"#,
        #"{"Statement": [{"Effect": "Allow", "Action": "*"}]}"#,
        #"{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "b/*"}]}"#,
        #"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Fancy": {"a": "b"}}}}"#,
    ])
    func whatIsNoPolicyIsRefused(_ json: String) {
        #expect(throws: AccessPolicy.Malformed.self) { try AccessPolicy(json: json) }
    }

    @Test(arguments: [
        ("", "", true), ("", "*", true), ("abc", "a*", true), ("abc", "*c", true), ("abc", "a*b", false),
        ("abc", "a?c", true),
        ("ac", "a?c", false), ("aXbXc", "a*b*c", true), ("abab", "*ab", true), ("a/b", "a*", true), ("é", "??", true),
        ("abc", "", false), ("abc", "***", true),
    ])
    func wildcards(_ text: String, _ pattern: String, _ matches: Bool) {
        #expect(Wildcard.matches(text, pattern) == matches)
    }
}

@Suite struct SecurityTokenTests {
    private static let inside = """
        {"Version": "2012-10-17", "Statement": [
          {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
           "Resource": "arn:aws:s3:::hawser/t1/*"},
          {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::hawser",
           "Condition": {"StringLike": {"s3:prefix": "t1/*"}}}]}
        """

    @Test func aSessionKeepsToItsPolicy() async throws {
        try await withS3TestServer { server in
            let owner = TestClient(server)
            try await owner.put("t2/k", [2])
            let tenant = try TestClient(server, session: try await owner.assumeRole(policy: Self.inside))
            #expect(try await tenant.put("t1/k", [1]).status == 200)
            #expect(try await tenant.get("t1/k").body == [1])
            #expect(try await tenant.get("t2/k").code == "AccessDenied")
            #expect(try await tenant.put("t2/k", [1]).code == "AccessDenied")
            #expect(try await tenant.put("t10/k", [1]).code == "AccessDenied")
            #expect(try await tenant.delete("t2/k").code == "AccessDenied")
            #expect(try await tenant.list("&prefix=t1/").elements("Key") == ["t1/k"])
            #expect(try await tenant.list("&prefix=t2/").code == "AccessDenied")
            #expect(try await tenant.list().code == "AccessDenied")
            #expect(try await tenant.send("HEAD", "/hawser").status == 403)
            #expect(try await tenant.send("GET", "/hawser?versioning").code == "AccessDenied")
            // Whether a key exists is not told to those who may not list.
            #expect(try await tenant.get("t1/missing").code == "NoSuchKey")
            // It can't give itself more.
            #expect(try await tenant.assumeRole().code == "AccessDenied")
            #expect(try await tenant.sts(["Action": "GetSessionToken"]).code == "AccessDenied")
            #expect(try await owner.get("t2/k").body == [2])
        }
    }

    @Test func deletionsOfManyAreRefusedKeyByKeyOrAsAWhole() async throws {
        for isWhole in [false, true] {
            let configuration = S3TestServer.Configuration.with {
                $0.behaviour.deletesManyAllOrNone = isWhole
                $0.behaviour.requiresChecksumOfDeleteMany = false
            }
            try await withS3TestServer(configuration) { server in
                let owner = TestClient(server)
                for key in ["t1/k", "t2/k"] { try await owner.put(key, [1]) }
                let tenant = try TestClient(server, session: try await owner.assumeRole(policy: Self.inside))
                let document = "<Delete><Object><Key>t1/k</Key></Object><Object><Key>t2/k</Key></Object></Delete>"
                let reply = try await tenant.send("POST", "/hawser?delete", body: Array(document.utf8))
                #expect(reply.status == (isWhole ? 403 : 200))
                #expect(reply.code == "AccessDenied")
                #expect(server.keys(in: "hawser") == (isWhole ? ["t1/k", "t2/k"] : ["t2/k"]))
            }
        }
    }

    @Test func sessionsCanEndSoonerThanWasAskedFor() async throws {
        let clock = SteppedClock()
        let configuration = S3TestServer.Configuration.with {
            $0.now = { clock.now }
            $0.grantedSessionDuration = .seconds(6)
        }
        try await withS3TestServer(configuration) { server in
            let reply = try await TestClient(server).assumeRole(seconds: 3600)
            #expect(reply.element("Expiration") == clock.now.advanced(by: .seconds(6)).extended)
            let session = try TestClient(server, session: reply)
            clock.advance(by: 6)
            #expect(try await session.put("k", [1]).code == "ExpiredToken")
        }
    }

    @Test func sessionsExpireAndAreRevoked() async throws {
        let clock = SteppedClock()
        let configuration = S3TestServer.Configuration.with {
            $0.now = { clock.now }
            $0.minimumSessionDuration = .seconds(1)
        }
        try await withS3TestServer(configuration) { server in
            let owner = TestClient(server)
            let reply = try await owner.assumeRole(seconds: 60)
            #expect(reply.element("Expiration") == clock.now.advanced(by: .seconds(60)).extended)
            let session = try TestClient(server, session: reply)
            clock.advance(by: 59)
            #expect(try await session.put("k", [1]).status == 200)
            clock.advance(by: 1)
            let expired = try await session.put("k", [2])
            #expect(expired.status == 400)
            #expect(expired.code == "ExpiredToken")

            let second = try TestClient(server, session: try await owner.assumeRole(seconds: 60))
            server.revoke(second.accessKeyID)
            #expect(try await second.get("k").code == "InvalidAccessKeyId")

            let third = try TestClient(server, session: try await owner.sts(["Action": "GetSessionToken"]))
            #expect(try await third.get("k").body == [1])
            server.expire(third.accessKeyID)
            #expect(try await third.get("k").code == "ExpiredToken")
            #expect(server.sessions.last == third.accessKeyID)

            var damaged = try TestClient(server, session: try await owner.assumeRole(seconds: 60))
            damaged.token?.append("x")
            #expect(try await damaged.get("k").code == "InvalidToken")
            damaged.token = nil
            #expect(try await damaged.get("k").code == "InvalidAccessKeyId")
        }
    }

    @Test func rolesAndDurationsAreChecked() async throws {
        let role = "arn:aws:iam::1:role/reader"
        let reader = #"{"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#
        let policy = try AccessPolicy(json: reader)
        let configuration = S3TestServer.Configuration.with { $0.roles = [.init(arn: role, policy: policy)] }
        try await withS3TestServer(configuration) { server in
            let owner = TestClient(server)
            try await owner.put("t1/k", [1])
            #expect(try await owner.assumeRole().code == "NoSuchEntity")
            #expect(try await owner.assumeRole(seconds: 899, role: role).code == "ValidationError")
            #expect(try await owner.assumeRole(seconds: 43_201, role: role).code == "ValidationError")
            #expect(try await owner.assumeRole(policy: "{", role: role).code == "MalformedPolicyDocument")
            let long =
                #"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:\#(String(repeating: "x", count: 2048))"}}"#
            #expect(try await owner.assumeRole(policy: long, role: role).code == "PackedPolicyTooLarge")
            // The session's policy does not widen the role's.
            let session = try TestClient(server, session: try await owner.assumeRole(policy: Self.inside, role: role))
            #expect(try await session.get("t1/k").body == [1])
            #expect(try await session.put("t1/k", [2]).code == "AccessDenied")
            #expect(try await owner.sts(["Action": "Dance"]).code == "InvalidAction")
        }
    }

    @Test func aWebIdentityNeedsNoSignature() async throws {
        let configuration = S3TestServer.Configuration.with { $0.webIdentityTokens = ["from the cluster"] }
        try await withS3TestServer(configuration) { server in
            func assume(_ token: String) async throws -> TestClient.Reply {
                let form =
                    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::1:role/r"
                    + "&RoleSessionName=test&WebIdentityToken=" + token
                return try await TestClient(server).execute(
                    "POST",
                    "/",
                    ["content-type": "application/x-www-form-urlencoded"],
                    Array(form.utf8)
                )
            }
            let session = try TestClient(server, session: try await assume("from+the%20cluster"))
            #expect(try await session.put("k", [1]).status == 200)
            let refused = try await assume("another")
            #expect(refused.code == "InvalidIdentityToken")
            #expect(refused.element("RequestId") != nil)
            #expect(server.counts[.sts] == 2)
        }
    }

    @Test func aUserKeepsToTheirPolicy() async throws {
        let reader = #"{"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#
        let policy = try AccessPolicy(json: reader)
        let configuration = S3TestServer.Configuration.with {
            $0.users.append(.init(accessKeyID: "READER", secretAccessKey: "s", policy: policy))
        }
        try await withS3TestServer(configuration) { server in
            try await TestClient(server).put("k", [1])
            var reader = TestClient(server)
            reader.accessKeyID = "READER"
            reader.secretAccessKey = "s"
            #expect(try await reader.get("k").body == [1])
            #expect(try await reader.put("k", [2]).code == "AccessDenied")
            // A key that is missing looks as one that is forbidden.
            #expect(try await reader.get("missing").code == "AccessDenied")
            reader.secretAccessKey = "wrong"
            #expect(try await reader.get("k").code == "SignatureDoesNotMatch")
        }
    }
}
