import HawserFormat
import NIOHTTP1

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What the endpoint gives that ECS, EKS and others name in a container's environment.
///
/// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is a path at 169.254.170.2. `AWS_CONTAINER_CREDENTIALS_FULL_URI` is an address
/// with TLS, or one that does not leave the machine: loopback, or the hosts of ECS and EKS. The value of
/// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, read each time, or of `AWS_CONTAINER_AUTHORIZATION_TOKEN` goes along.
public struct ContainerCredentials: S3CredentialsSource {
    private let environment: AWSEnvironment

    private static let host = "http://169.254.170.2"
    // Of ECS, and the Pod Identity Agent of EKS.
    private static let plainHosts: Set<String> = [
        "localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23",
    ]

    public init(_ environment: AWSEnvironment = .process) {
        self.environment = environment
    }

    public var place: String { "the container's endpoint" }

    public func load() async throws -> S3Credentials? {
        guard let url = try url() else { return nil }
        var headers: [(String, String)] = [("accept", "application/json")]
        if let token = try await token() { headers.append(("authorization", token)) }
        let answer = try await CredentialsEndpoint.ask(
            .GET,
            url,
            headers: headers,
            timeout: CredentialsEndpoint.patience
        )
        guard answer.status == 200 else {
            throw HawserError(
                answer.status >= 500 || answer.status == 429 ? .unavailable : .accessDenied,
                "The container's endpoint gives no credentials: it answers \(answer.status).",
                place: url,
                isRetryable: answer.status >= 500 || answer.status == 429
            )
        }
        return try CredentialsDocument.decode(answer.body, token: "Token", from: url)
    }

    private func url() throws -> String? {
        if let path = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
            return Self.host + (path.hasPrefix("/") ? path : "/" + path)
        }
        guard let text = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] else { return nil }
        guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty,
            parts.scheme == "https" || (parts.scheme == "http" && Self.isLocal(host))
        else {
            throw HawserError(
                .accessDenied,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https address, or an http one of this machine.",
                place: text
            )
        }
        return text
    }

    private static func isLocal(_ host: String) -> Bool {
        let host = host.trimmingPrefix("[").split(separator: "]").first.map(String.init) ?? host
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        // The whole of 127.0.0.0/8 is loopback (RFC 1122).
        let isLoopback = numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
        return isLoopback || plainHosts.contains(host)
    }

    private func token() async throws -> String? {
        var token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        if let path = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] {
            token = try await SmallFile.text(path, what: "the container's token")
            guard token != nil else {
                throw HawserError(.accessDenied, "The file with the container's token does not exist.", place: path)
            }
            if token?.last?.isNewline ?? false { token?.removeLast() }
        }
        guard token?.contains(where: \.isNewline) != true else {
            throw HawserError(.accessDenied, "The container's token has more than one line.")
        }
        return token
    }
}
