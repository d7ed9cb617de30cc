import HawserFormat
import HawserStorage
import HawserTesting
import NIOHTTP1
import Testing

@testable import HawserS3

@Suite("What a storage's refusals mean")
struct S3FailureTests {
    private static func failure(
        _ status: Int,
        _ code: String = "",
        headers: [(String, String)] = [],
        more: String = ""
    ) -> S3Failure {
        let xml = "<Error><Code>\(code)</Code><Message>Words.</Message>\(more)<RequestId>tx1</RequestId></Error>"
        let head = S3AnswerHead(status: status, headers: HTTPHeaders(headers))
        return S3Failure(S3Answer(head: head, body: code.isEmpty ? [] : Array(xml.utf8)))
    }

    private static let location = S3Location(
        S3Configuration(
            endpoint: S3Endpoint(host: "s3.example.com"),
            region: "eu-central-1",
            bucket: "hawser",
            prefix: "folder"
        )
    )

    private static let context = S3RequestContext(
        bucket: "hawser",
        endpoint: location.endpoint,
        region: location.region,
        accessKeyID: "AKTEST",
        clockAhead: nil
    )

    @Test(
        "Each has its code, its words, and a retry only where that can help",
        arguments: [
            (404, "NoSuchBucket", .noRepository, "no bucket «hawser»", false),
            (404, "NoSuchKey", .notFound, "no such object", false),
            (404, "", .notFound, "no such object", false),
            (416, "InvalidRange", .invalidArgument, "past the end", false),
            (412, "PreconditionFailed", .conflict, "exists", false),
            (403, "InvalidAccessKeyId", .accessDenied, "does not know the access key AKTEST", false),
            (403, "SignatureDoesNotMatch", .accessDenied, "secret does not belong", false),
            (400, "ExpiredToken", .accessDenied, "expired", false),
            (400, "InvalidToken", .accessDenied, "expired", false),
            (403, "AccessDenied", .accessDenied, "rights on the bucket «hawser»", false),
            (403, "", .accessDenied, "rights on the bucket «hawser»", false),
            (400, "AuthorizationHeaderMalformed", .accessDenied, "another region than eu-central-1", false),
            (301, "PermanentRedirect", .accessDenied, "not at https://s3.example.com but elsewhere", false),
            (403, "RequestTimeTooSkewed", .accessDenied, "Set this machine's clock", false),
            (403, "QuotaExceeded", .quotaExceeded, "quota", false),
            (400, "XMinioAdminBucketQuotaExceeded", .quotaExceeded, "quota", false),
            (507, "", .storageFull, "no space", false),
            (507, "XMinioStorageFull", .storageFull, "no space", false),
            (403, "InvalidObjectState", .unavailable, "archive", false),
            (501, "NotImplemented", .unsupported, "can't do", false),
            (405, "MethodNotAllowed", .unsupported, "can't do", false),
            (409, "ConditionalRequestConflict", .unavailable, "now", true),
            (409, "OperationAborted", .unavailable, "now", true),
            (409, "", .unavailable, "now", true),
            (409, "InvalidBucketState", .unavailable, "refuses", false),
            (429, "", .unavailable, "now", true),
            (500, "InternalError", .unavailable, "now", true),
            (503, "SlowDown", .unavailable, "now", true),
            (503, "", .unavailable, "now", true),
            (400, "RequestTimeout", .unavailable, "now", true),
            (400, "BadDigest", .unavailable, "now", true),
            (400, "XAmzContentSHA256Mismatch", .unavailable, "now", true),
            (400, "InvalidArgument", .unavailable, "refuses", false),
        ] as [(Int, String, HawserError.Code, String, Bool)]
    )
    func meanings(_ status: Int, _ code: String, _ wanted: HawserError.Code, _ words: String, _ isRetryable: Bool) {
        let error = Self.failure(status, code).error(place: "packs/x", Self.context)
        #expect(error.code == wanted)
        #expect(error.message.contains(words), "\(error.message)")
        #expect(error.isRetryable == isRetryable)
        #expect(error.place == "packs/x")
        #expect(String(describing: error).contains("HTTP \(status)"))
    }

    @Test("Retry-After is kept, within reason")
    func retryAfter() {
        for (text, wanted) in [
            ("5", .seconds(5)), ("0", .zero), ("999999", nil), ("-1", nil), ("soon", nil),
            ("Mon, 12 Jan 1970 13:46:47 GMT", .seconds(7)), ("Mon, 12 Jan 1970 13:46:39 GMT", nil),
            ("Tue, 13 Jan 1970 13:46:40 GMT", nil),
        ] as [(String, Duration?)] {
            let headers = Self.date + [("Retry-After", text)]
            let error = Self.failure(503, "SlowDown", headers: headers).error(place: "", Self.context)
            #expect(error.retryAfter == wanted)
        }
    }

    @Test("The server's words are short and printable")
    func words() {
        let text = String(repeating: "ab\u{1b}[31m", count: 10_000)
        let body = "<Error><Code>\(String(repeating: "C", count: 9_000))</Code><Message>x</Message></Error>"
        let head = S3AnswerHead(status: 400, headers: ["x-amz-request-id": text])
        let shown = S3Failure(S3Answer(head: head, body: Array(body.utf8))).description
        #expect(shown.utf8.count < 2_000)
        #expect(!shown.utf8.contains(0x1b))
    }

    @Test("A web page is told from a storage's answer")
    func webPages() {
        let page = Array("<html><body>Please log in</body></html>".utf8)
        func error(_ status: Int) -> HawserError {
            let head = S3AnswerHead(status: status, headers: ["Content-Type": "text/html; charset=utf-8"])
            return S3Failure(S3Answer(head: head, body: page)).error(place: "", Self.context)
        }
        for status in [302, 400, 403, 404, 407] {
            #expect(error(status).message.contains("proxy"), "\(status)")
            #expect(error(status).code == .unavailable)
            #expect(!error(status).isRetryable)
        }
        // The gateway of a storage that is away.
        for status in [502, 503, 504] { #expect(error(status).isRetryable) }
    }

    private static func attempt(
        now: Int64 = 1_000_000,
        isTemporary: Bool = false,
        clockAhead: Int64 = 0,
        location: S3Location = location
    ) -> S3Remedies.Attempt {
        S3Remedies.Attempt(
            location: location,
            accessKeyID: "AKTEST",
            isTemporary: isTemporary,
            now: Timestamp(seconds: now),
            clockAhead: clockAhead
        )
    }

    /// `Date` of 1970-01-12 13:46:40, which is second 1,000,000.
    private static let date = [("Date", "Mon, 12 Jan 1970 13:46:40 GMT")]

    @Test("A region that the storage names is used once")
    func region() {
        let malformed = Self.failure(400, "AuthorizationHeaderMalformed", more: "<Region>us-west-2</Region>")
        var remedies = S3Remedies()
        #expect(remedies.remedy(for: malformed, Self.attempt()) == .region("us-west-2", Self.location.endpoint))
        #expect(remedies.remedy(for: malformed, Self.attempt()) == nil)
    }

    @Test("A redirection is followed to the bucket's own endpoint, never away from TLS")
    func redirections() {
        var amazon = Self.location
        amazon.endpoint = .amazon(region: "us-east-1")
        let permanent = Self.failure(
            301,
            "PermanentRedirect",
            headers: [("x-amz-bucket-region", "eu-west-1")],
            more: "<Endpoint>hawser.s3.eu-west-1.amazonaws.com</Endpoint>"
        )
        var remedies = S3Remedies()
        #expect(
            remedies.remedy(for: permanent, Self.attempt(location: amazon))
                == .region("eu-west-1", .amazon(region: "eu-west-1"))
        )
        let temporary = Self.failure(
            307,
            "TemporaryRedirect",
            headers: [("Location", "https://s3-2.example.com/hawser/x?y")]
        )
        remedies = S3Remedies()
        #expect(
            remedies.remedy(for: temporary, Self.attempt())
                == .region("eu-central-1", S3Endpoint(host: "s3-2.example.com"))
        )
        remedies = S3Remedies()
        let downgrade = Self.failure(307, "TemporaryRedirect", headers: [("Location", "http://s3-2.example.com/")])
        #expect(remedies.remedy(for: downgrade, Self.attempt()) == nil)
        // A HEAD has no body: the header must do.
        remedies = S3Remedies()
        let head = Self.failure(400, headers: [("x-amz-bucket-region", "us-west-2")])
        #expect(remedies.remedy(for: head, Self.attempt()) == .region("us-west-2", Self.location.endpoint))
    }

    @Test("A clock that is off is corrected once, however the storage calls it")
    func clock() {
        for failure in [
            Self.failure(403, "RequestTimeTooSkewed", headers: Self.date), Self.failure(403, headers: Self.date),
            // rclone's.
            Self.failure(400, "AccessDenied", headers: Self.date),
        ] {
            var remedies = S3Remedies()
            #expect(remedies.remedy(for: failure, Self.attempt(now: 1_003_600)) == .clock(ahead: 3_600))
            // It is still refused with a corrected clock.
            #expect(remedies.remedy(for: failure, Self.attempt(now: 1_000_001, clockAhead: 3_600)) == nil)
            let error = failure.error(
                place: "",
                remedies.context(of: failure, Self.attempt(now: 1_000_001, clockAhead: 3_600))
            )
            #expect(error.message.contains("60 min ahead of the storage's"), "\(error.message)")
        }
        var remedies = S3Remedies()
        let failure = Self.failure(403, "AccessDenied", headers: Self.date)
        #expect(remedies.remedy(for: failure, Self.attempt(now: 1_000_100)) == nil)
        #expect(remedies.remedy(for: failure, Self.attempt(now: 990_000)) == .clock(ahead: -10_000))
    }

    @Test("Credentials are renewed once, for those failures that come of them")
    func credentials() {
        let renewal = S3Remedy.credentials(accessKeyID: "AKTEST")
        for code in ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"] {
            var remedies = S3Remedies()
            #expect(remedies.remedy(for: Self.failure(400, code), Self.attempt()) == renewal)
            #expect(remedies.remedy(for: Self.failure(400, code), Self.attempt()) == nil)
        }
        var remedies = S3Remedies()
        #expect(remedies.remedy(for: Self.failure(403), Self.attempt()) == nil)
        #expect(remedies.remedy(for: Self.failure(403), Self.attempt(isTemporary: true)) == renewal)
        for code in ["NoSuchBucket", "SlowDown", "QuotaExceeded"] {
            remedies = S3Remedies()
            #expect(remedies.remedy(for: Self.failure(403, code), Self.attempt(isTemporary: true)) == nil)
        }
    }
}
