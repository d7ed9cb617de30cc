import HawserFormat
import Testing

@testable import HawserS3

@Suite("Locations in S3 storage")
struct S3URLTests {
    struct Example: Sendable {
        var text: String
        var endpoint: String?
        var bucket: String
        var folder = ""
    }

    static let examples = [
        Example(text: "s3:https://host.example:9000/b", endpoint: "https://host.example:9000", bucket: "b"),
        Example(text: "s3:https://host/b/", endpoint: "https://host", bucket: "b"),
        Example(text: "s3:http://127.0.0.1:9000/b/a/c", endpoint: "http://127.0.0.1:9000", bucket: "b", folder: "a/c"),
        Example(text: "s3:HTTPS://Host/b/A c/é+%20/", endpoint: "https://host", bucket: "b", folder: "A c/é+%20"),
        Example(text: "s3:https://[::1]:9000/b", endpoint: "https://[::1]:9000", bucket: "b"),
        Example(text: "s3:s3.amazonaws.com/b/f", endpoint: "https://s3.amazonaws.com", bucket: "b", folder: "f"),
        Example(text: "s3:s3.eu-west-1.amazonaws.com/b", endpoint: "https://s3.eu-west-1.amazonaws.com", bucket: "b"),
        Example(text: "s3:localhost:9000/b", endpoint: "https://localhost:9000", bucket: "b"),
        Example(text: "s3:bucket", endpoint: nil, bucket: "bucket"),
        Example(text: "s3:bucket/f/g", endpoint: nil, bucket: "bucket", folder: "f/g"),
    ]

    @Test("Are read as they are written", arguments: examples)
    func reads(example: Example) throws {
        let url = try S3URL(parsing: example.text)
        #expect(url.endpoint?.description == example.endpoint)
        #expect(url.bucket == example.bucket)
        #expect(url.folder == example.folder)
        #expect(try S3URL(parsing: url.description) == url)
    }

    @Test(
        "What is none is refused with an example",
        arguments: [
            "s3:", "s3:/", "s3:https://", "s3:https://host", "s3:https://host/", "s3:host.example", "s3://bucket/x",
            "s3:https://key:secret@host/b", "s3:key:secret@host/b", "s3:https://host:99999/b", "s3:https://host?x/b",
            "s3:https://host/b/../c", "s3:https://host/b//c", "s3:https://host/b/./c", "s3:b/\u{1}", "azure:x",
        ]
    )
    func refuses(text: String) {
        let error = #expect(throws: HawserError.self) { try S3URL(parsing: text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("s3:https://s3.example.com/bucket/folder") == true)
        #expect(error?.description.contains("secret") == false)
    }

    // MARK: Settings

    private func resolve(
        _ text: String,
        _ variables: [String: String] = [:],
        _ change: (inout S3Settings) -> Void = { _ in }
    ) async throws -> S3Configuration {
        var settings = S3Settings()
        change(&settings)
        return try await S3Configuration.resolve(
            S3URL(parsing: text),
            settings: settings,
            environment: AWSEnvironment(variables)
        )
    }

    @Test("The region: an option, the address, the environment, else us-east-1")
    func region() async throws {
        let other = "s3:https://s3.example.com/b"
        #expect(try await resolve(other).region == "us-east-1")
        #expect(try await resolve(other, ["AWS_DEFAULT_REGION": "x"]).region == "x")
        #expect(try await resolve(other, ["AWS_DEFAULT_REGION": "x", "AWS_REGION": "y"]).region == "y")
        #expect(try await resolve(other, ["AWS_REGION": "y"]) { $0.region = "z" }.region == "z")
        let amazon = try await resolve("s3:s3.eu-west-1.amazonaws.com/b", ["AWS_REGION": "y"])
        #expect(amazon.region == "eu-west-1")
        #expect(amazon.endpoint.host == "s3.eu-west-1.amazonaws.com")
    }

    @Test("Amazon is asked in the region, by virtual hosts unless the bucket has a dot; others by path")
    func addressing() async throws {
        let amazon = try await resolve("s3:s3.amazonaws.com/b", ["AWS_REGION": "eu-central-1"])
        #expect(amazon.endpoint.host == "s3.eu-central-1.amazonaws.com")
        #expect(amazon.addressing == .virtualHost)
        #expect(try await resolve("s3:s3.amazonaws.com/b.c").addressing == .path)
        #expect(try await resolve("s3:https://s3.example.com/b").addressing == .path)
        let forced = try await resolve("s3:https://s3.example.com/b") { $0.addressing = .virtualHost }
        #expect(forced.addressing == .virtualHost)
    }

    @Test("Without an endpoint the environment's holds, else Amazon's")
    func endpoint() async throws {
        #expect(try await resolve("s3:b/f").endpoint.host == "s3.us-east-1.amazonaws.com")
        var variables = ["AWS_ENDPOINT_URL": "https://all.example"]
        #expect(try await resolve("s3:b/f", variables).endpoint.host == "all.example")
        variables["AWS_ENDPOINT_URL_S3"] = "http://s3.example:1"
        let found = try await resolve("s3:b/f", variables)
        #expect(found.endpoint.description == "http://s3.example:1")
        #expect(found.bucket == "b" && found.prefix == "f/")
        #expect(try await resolve("s3:https://own.example/b", variables).endpoint.host == "own.example")
    }

    @Test("STS is at Amazon's own address, and elsewhere at the storage's")
    func sts() async throws {
        let amazon = try await resolve("s3:b", ["AWS_REGION": "eu-central-1"])
        #expect(amazon.stsEndpoint(AWSEnvironment([:])).url == "https://sts.eu-central-1.amazonaws.com")
        let other = try await resolve("s3:http://127.0.0.1:7480/b")
        #expect(other.stsEndpoint(AWSEnvironment([:])).url == "http://127.0.0.1:7480")
        let given = AWSEnvironment(["AWS_ENDPOINT_URL_STS": "https://sts.example/"])
        #expect(other.stsEndpoint(given).url == "https://sts.example")
    }

    @Test("Certificates and a proxy of the environment")
    func network() async throws {
        let variables = ["AWS_CA_BUNDLE": "/ca.pem", "HTTPS_PROXY": "http://proxy.example:3128"]
        let found = try await resolve("s3:https://s3.example.com/b", variables)
        #expect(found.certificateAuthorities == "/ca.pem")
        #expect(found.proxy?.host == "proxy.example")
        let own = try await resolve("s3:https://s3.example.com/b", variables) { $0.certificateAuthorities = "/own.pem" }
        #expect(own.certificateAuthorities == "/own.pem")
    }

    // MARK: Profile

    @Test("A storage's profile is kept as names of features, with what was found and what was not")
    func features() {
        var profile = StorageProfile()
        profile.traits = [.conditionalPut: true, .checksSHA256: false, .versioning: true]
        #expect(profile.features == ["storage.conditional-put", "storage.no-checks-sha256", "storage.versioning"])
        #expect(profile.features.allSatisfy(FeatureFlags.isValidName))
        #expect(StorageProfile(features: profile.features.union(["other", "storage.later"]))?.traits == profile.traits)
        #expect(StorageProfile(features: ["other"]) == nil)
        #expect(profile.needsContentMD5 && profile.hasConditionalPuts)
        profile.traits[.checksMD5] = false
        #expect(!profile.needsContentMD5)
        #expect(StorageProfile.Trait.allCases.allSatisfy { FeatureFlags.isValidName("storage.no-" + $0.rawValue) })
    }
}
