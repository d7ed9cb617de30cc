import ArgumentParser
import Hawser
import HawserControl

/// The exit codes of docs/commands.md.
enum ExitStatus {
    static let failed: Int32 = 1
    /// Done, but some files could not be read, or changed while they were read.
    static let incomplete: Int32 = 3
    static let noRepository: Int32 = 10
    /// A prune is in the way.
    static let pruneInTheWay: Int32 = 11
    static let wrongPassword: Int32 = 12
    static let quotaExceeded: Int32 = 13
    static let accessDenied: Int32 = 14
    /// EX_USAGE of sysexits.h.
    static let usage: Int32 = 64
    /// As a shell reports a program that SIGINT ended.
    static let interrupted: Int32 = 130

    static func code(for error: any Error) -> Int32 {
        switch error {
        case let error as HawserError:
            switch error.code {
            case .noRepository: noRepository
            case .pruneInTheWay: pruneInTheWay
            case .wrongPassword: wrongPassword
            case .quotaExceeded: quotaExceeded
            case .accessDenied, .notSignedIn, .tenantDisabled, .leaseOver, .revoked: accessDenied
            case .incomplete: incomplete
            default: failed
            }
        case is CancellationError, is Interrupted: interrupted
        case let code as ExitCode: code.rawValue
        default: failed
        }
    }
}

/// A signal asked the program to end.
struct Interrupted: Error {}

/// The command has said all there is to say: only the code is left.
extension ExitCode {
    static let failedQuietly = ExitCode(ExitStatus.failed)
    static let incompleteQuietly = ExitCode(ExitStatus.incomplete)
}
