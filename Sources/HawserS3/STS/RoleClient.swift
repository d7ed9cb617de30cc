public import AsyncHTTPClient
import HawserFormat
import XMLCoder

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Makes and removes roles where a storage has IAM's requests for them: Ceph at its own address, Amazon.
public struct RoleClient: Sendable {
    // "PutRolePolicy" in the AWS IAM API Reference; Ceph has it too.
    private static let policyName = "hawser"
    private static let version = "2010-05-08"

    private let client: STSClient

    public init(_ endpoint: STSEndpoint, client: HTTPClient) {
        self.client = STSClient(endpoint, service: "iam", client: client)
    }

    /// Makes a role, or sets trust and policy of the one that is there.
    ///
    /// - Parameters:
    ///   - name: of 1 to 64 letters, digits and `=,.@_-`.
    ///   - trust: who may assume it, a policy document.
    ///   - policy: what its sessions may do at most.
    ///   - longest: of its sessions; 1 to 12 hours.
    /// - Returns: its ARN.
    /// - Throws: `accessDenied` when the key may not; `invalidArgument`; `unsupported` where there is no IAM; `unavailable`.
    public func put(
        _ name: String,
        trust: String,
        policy: String,
        longest: Duration,
        with credentials: any S3CredentialsProvider
    ) async throws -> String {
        var create = form("CreateRole", name)
        create.add("Path", "/")
        create.add("AssumeRolePolicyDocument", trust)
        create.add("MaxSessionDuration", String(longest.components.seconds))
        if try await send(create, credentials, passing: "EntityAlreadyExists") == nil {
            var update = form("UpdateAssumeRolePolicy", name)
            update.add("PolicyDocument", trust)
            try await send(update, credentials)
        }
        var fence = form("PutRolePolicy", name)
        fence.add("PolicyName", Self.policyName)
        fence.add("PolicyDocument", policy)
        try await send(fence, credentials)
        let answer = try await send(form("GetRole", name), credentials) ?? []
        guard let found = try? XMLDecoder().decode(RoleAnswer.self, from: Data(answer)) else {
            throw HawserError(
                .unavailable,
                "What came is no answer of IAM. Is this its address?",
                place: client.endpoint.url
            )
        }
        return found.result.role.arn
    }

    /// From now on its sessions can do nothing, also when a role of this name is made again. Without a role nothing happens.
    public func remove(_ name: String, with credentials: any S3CredentialsProvider) async throws {
        var fence = form("DeleteRolePolicy", name)
        fence.add("PolicyName", Self.policyName)
        try await send(fence, credentials, passing: "NoSuchEntity")
        try await send(form("DeleteRole", name), credentials, passing: "NoSuchEntity")
    }

    private func form(_ action: String, _ name: String) -> STSForm {
        var form = STSForm(action, version: Self.version)
        form.add("RoleName", name)
        return form
    }

    /// - Returns: `nil` for a refusal with the code `passing`.
    @discardableResult
    private func send(
        _ form: STSForm,
        _ credentials: any S3CredentialsProvider,
        passing: String? = nil
    ) async throws -> [UInt8]? {
        let answer = try await client.signedAnswer(to: form, credentials).answer
        if answer.status == 200 { return answer.body }
        let reason = STSRefusal.reason(answer.body)
        // Ceph says `NoSuchEntity` of the role, and `NoSuchKey` of its policy.
        if let passing, let code = reason?.code, code == passing || passing == "NoSuchEntity" && answer.status == 404 {
            return nil
        }
        let details = reason.map { $0.code + ($0.message.map { $0.isEmpty ? "" : ": " + $0 } ?? "") }
        let code: HawserError.Code =
            switch answer.status {
            case 400: .invalidArgument
            case 404, 405, 501: .unsupported
            case 408, 429, 500...: .unavailable
            default: .accessDenied
            }
        throw HawserError(
            code,
            "The storage does not make a role for a tenant's folder (\(details ?? "HTTP \(answer.status)")).",
            place: client.endpoint.url,
            isRetryable: code == .unavailable
        )
    }
}

private struct RoleAnswer: Decodable {
    struct Result: Decodable {
        var role: Role
        enum CodingKeys: String, CodingKey { case role = "Role" }
    }

    struct Role: Decodable {
        var arn: String
        enum CodingKeys: String, CodingKey { case arn = "Arn" }
    }

    var result: Result
    enum CodingKeys: String, CodingKey { case result = "GetRoleResult" }
}
