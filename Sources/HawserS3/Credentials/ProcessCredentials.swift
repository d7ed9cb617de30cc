import HawserFormat
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

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
        let output = try await BlockingExecutor.shared.run { () throws -> [UInt8] in try Self.run(command) }
        guard let document = try? JSONValue(parsing: output).object, document["Version"]?.integer(Int.self) == 1 else {
            throw HawserError(.accessDenied, "What the credential process printed is not version 1 of credentials.")
        }
        return try CredentialsDocument.decode(output, token: "SessionToken", from: place)
    }

    private static func run(_ command: String) throws -> [UInt8] {
        let process: ChildProcess
        do throws(ChildProcess.NotStarted) {
            process = try ChildProcess(
                ["/bin/sh", "-c", command].map { Array($0.utf8) },
                environment: ChildProcess.environment { $0.starts(with: "HAWSER_PASSWORD".utf8) }
            )
        } catch {
            throw HawserError(.accessDenied, "The credential process could not be started: \(error.text).")
        }
        let output = SmallFile.read(process.output, limit: limit)
        close(process.output)
        guard let output, output.count <= limit else {
            process.end()
            throw HawserError(.accessDenied, "The credential process printed something else than credentials.")
        }
        guard process.wait() == .exit(0) else {
            throw HawserError(.accessDenied, "The credential process failed. Run it by hand to see why.")
        }
        return output
    }
}
