import Foundation
import HawserFormat
import HawserS3
import HawserTesting
import Testing

@Suite("Signature Version 4")
struct SigV4SignerTests {
    /// The key of Amazon's documentation.
    static let credentials = S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE",
        secretAccessKey: Secret(Array("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".utf8))
    )

    struct Fixture: Decodable, Sendable {
        let name, method, host, path, encodedPath, payload, region, service, date, signature: String
        let query, headers: [[String]]
        let token: String?
        let expires: Int?

        /// Presigning adds the header of a known payload itself, as it belongs to the signature.
        var request: SigV4Request {
            SigV4Request(
                method: method,
                host: host,
                path: path,
                query: query.map { ($0[0], $0[1]) },
                headers: headers.map { ($0[0], $0[1]) }.filter { $0.0 != "x-amz-content-sha256" },
                payload: ObjectName(hex: payload).map { .sha256($0) } ?? .unsigned
            )
        }

        var credentials: S3Credentials {
            S3Credentials(
                accessKeyID: SigV4SignerTests.credentials.accessKeyID,
                secretAccessKey: SigV4SignerTests.credentials.secretAccessKey,
                sessionToken: token.map { Secret(Array($0.utf8)) }
            )
        }
    }

    static let file = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/s3/signatures.json")

    @Test("Signs as botocore does, keys with hard characters and tokens included")
    func botocore() throws {
        let fixtures = try JSONDecoder().decode([Fixture].self, from: Data(contentsOf: Self.file))
        #expect(fixtures.count > 300)
        for fixture in fixtures {
            var request = fixture.request
            let signer = SigV4Signer(region: fixture.region, service: fixture.service)
            let date = try #require(Self.timestamp(fixture.date))
            if let seconds = fixture.expires {
                signer.presign(&request, expiresIn: seconds, with: fixture.credentials, at: date)
                #expect(request.query.last?.value == fixture.signature, "\(fixture.name)")
                #expect(request.target.hasPrefix(fixture.encodedPath + "?"), "\(fixture.name)")
            } else {
                signer.sign(&request, with: fixture.credentials, at: date)
                let authorization = try #require(request.headers.last)
                #expect(authorization.name == "authorization")
                #expect(authorization.value.hasSuffix("Signature=" + fixture.signature), "\(fixture.name)")
                #expect(request.target.split(separator: "?")[0] == fixture.encodedPath, "\(fixture.name)")
            }
        }
    }

    /// "Authenticating Requests: Using the Authorization Header" and "… Using Query Parameters" in the Amazon S3 API
    /// Reference.
    @Test("Signs Amazon's published examples for S3")
    func publishedExamples() {
        let host = "examplebucket.s3.amazonaws.com"
        let put = SigV4Request(
            method: "PUT",
            host: host,
            path: "/test$file.text",
            headers: [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            payload: .sha256(ObjectName(sha256Of: Array("Welcome to Amazon S3.".utf8)))
        )
        let examples: [(SigV4Request, signature: String)] = [
            (
                SigV4Request(method: "GET", host: host, path: "/test.txt", headers: [("range", "bytes=0-9")]),
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            (put, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
            (
                SigV4Request(method: "GET", host: host, path: "/", query: [("lifecycle", "")]),
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
            (
                SigV4Request(method: "GET", host: host, path: "/", query: [("max-keys", "2"), ("prefix", "J")]),
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
            ),
        ]
        let signer = SigV4Signer(region: "us-east-1")
        let date = Timestamp(seconds: 1_369_353_600)
        for (request, signature) in examples {
            var request = request
            signer.sign(&request, with: Self.credentials, at: date)
            #expect(request.headers.last?.value.hasSuffix("Signature=" + signature) == true)
        }
        var presigned = SigV4Request(method: "GET", host: host, path: "/test.txt", payload: .unsigned)
        signer.presign(&presigned, expiresIn: 86_400, with: Self.credentials, at: date)
        #expect(presigned.query.last?.value == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    }

    /// "AWS Signature Version 4 Test Suite", those that don't normalise paths, which S3 doesn't.
    @Test("Signs Amazon's test suite for other services")
    func testSuite() {
        let credentials = S3Credentials(
            accessKeyID: "AKIDEXAMPLE",
            secretAccessKey: Secret(Array("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".utf8))
        )
        let examples: [(SigV4Request, signature: String)] = [
            (
                SigV4Request(method: "GET", host: "example.amazonaws.com", path: "/"),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
            ),
            (
                SigV4Request(method: "POST", host: "example.amazonaws.com", path: "/"),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
            ),
            (
                SigV4Request(
                    method: "GET",
                    host: "example.amazonaws.com",
                    path: "/",
                    query: [("Param2", "value2"), ("Param1", "value1")]
                ),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
            ),
        ]
        for (request, signature) in examples {
            var request = request
            SigV4Signer(region: "us-east-1", service: "service")
                .sign(&request, with: credentials, at: Timestamp(seconds: 1_440_938_160))
            #expect(request.headers.last?.value.hasSuffix("Signature=" + signature) == true)
        }
    }

    /// `20261122T101112Z`.
    static func timestamp(_ text: String) -> Timestamp? {
        let digits = Array(text)
        guard digits.count == 16 else { return nil }
        let date = "\(String(digits[0..<4]))-\(String(digits[4..<6]))-\(String(digits[6..<8]))"
        let time = "\(String(digits[9..<11])):\(String(digits[11..<13])):\(String(digits[13..<15]))"
        return Timestamp(amazonText: date + "T" + time + "Z")
    }
}
