import HawserFormat
import HawserStorage

/// What a program prints, as `credential_process` of a profile says: for single sign-on, hardware tokens and the like.
///
/// The program is run by the shell, with this process's environment but for the repository's password.
public struct ProcessCredentials: S3CredentialsSource {
    private let command: String

    // A document has one or two kilobytes.
    private static let limit = 64 << 10

    public init(command: String) {
        self.command = command
    }

    public var place: String { "the credential process" }

    public func load() async throws -> S3Credentials? {
        let command = command
        let output = try await BlockingExecutor.shared.run { () throws -> [UInt8] in
            try ChildProcess.output(of: command, limit: Self.limit, name: "The credential process")
        }
        guard let document = try? JSONValue(parsing: output).object, document["Version"]?.integer(Int.self) == 1 else {
            throw HawserError(.accessDenied, "What the credential process printed is not version 1 of credentials.")
        }
        return try CredentialsDocument.decode(output, token: "SessionToken", from: place)
    }
}
