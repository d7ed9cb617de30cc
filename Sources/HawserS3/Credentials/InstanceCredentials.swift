import HawserFormat
import NIOCore
import NIOHTTP1

/// The role of the virtual machine, from its metadata service (EC2 and those that do likewise). Version 2 only: a session
/// token is asked for first.
///
/// `AWS_EC2_METADATA_DISABLED`, `AWS_EC2_METADATA_SERVICE_ENDPOINT` and `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` hold.
public struct InstanceCredentials: S3CredentialsSource {
    private let environment: AWSEnvironment

    private static let root = "/latest/meta-data/iam/security-credentials/"

    public init(_ environment: AWSEnvironment = .process) {
        self.environment = environment
    }

    public var place: String { "the instance's metadata" }

    private var endpoint: String {
        if let given = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] {
            return given.hasSuffix("/") ? String(given.dropLast()) : given
        }
        let isIPv6 = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
        return isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254"
    }

    public func load() async throws -> S3Credentials? {
        guard !environment.isOn("AWS_EC2_METADATA_DISABLED"), let token = try await token() else { return nil }
        let roles = try await get("", token)
        // One role at most; where there is none, the list is empty or missing.
        guard roles.status == 200, let role = roles.text.split(whereSeparator: \.isNewline).first else { return nil }
        guard role.utf8.allSatisfy(Self.isNameByte) else {
            throw HawserError(.accessDenied, "What the metadata service gives is no role's name.", place: endpoint)
        }
        let answer = try await get(String(role), token)
        guard answer.status == 200 else { throw refusal(answer.status) }
        if let code = (try? JSONValue(parsing: answer.body))?.object?["Code"]?.string, code != "Success" {
            throw HawserError(.accessDenied, "The metadata service gives no credentials: \(code).", place: endpoint)
        }
        return try CredentialsDocument.decode(answer.body, token: "Token", from: endpoint)
    }

    /// `nil` when this is no such machine.
    private func token() async throws -> String? {
        let headers = [("x-aws-ec2-metadata-token-ttl-seconds", "60")]
        let answer: CredentialsEndpoint.Answer
        do {
            // It answers in milliseconds where it exists; elsewhere everybody without credentials would wait for it. Where
            // somebody says that it exists, it may be slow.
            let isGiven = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] != nil
            answer = try await CredentialsEndpoint.ask(
                .PUT,
                endpoint + "/latest/api/token",
                headers: headers,
                timeout: isGiven ? CredentialsEndpoint.patience : .seconds(1)
            )
        } catch is HawserError {
            return nil
        }
        // Something else lives at this address.
        guard answer.status == 200, !answer.body.isEmpty, answer.body.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        return answer.text
    }

    private func get(_ name: String, _ token: String) async throws -> CredentialsEndpoint.Answer {
        let answer = try await CredentialsEndpoint.ask(
            .GET,
            endpoint + Self.root + name,
            headers: [("x-aws-ec2-metadata-token", token)],
            timeout: CredentialsEndpoint.patience
        )
        if answer.status >= 500 || answer.status == 429 { throw refusal(answer.status) }
        return answer
    }

    private func refusal(_ status: Int) -> HawserError {
        HawserError(
            status >= 500 || status == 429 ? .unavailable : .accessDenied,
            "The metadata service gives no credentials: it answers \(status).",
            place: endpoint,
            isRetryable: status >= 500 || status == 429
        )
    }

    /// IAM's names of roles.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "+=,.@_-".utf8.contains(byte)
        }
    }
}
