import GRDB
import HawserFormat

/// An error of SQLite as the callers of the configuration database see it.
func providerError(_ error: any Error, place: String? = nil) -> any Error {
    guard let error = error as? DatabaseError else { return error }
    let (code, message, isRetryable): (HawserError.Code, String, Bool) =
        switch error.resultCode {
        case .SQLITE_FULL:
            (.storageFull, "The disk of the configuration database is full. Free space on it.", false)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            (
                .accessDenied, "The configuration database can't be written. Check the owner and mode of its files.",
                false
            )
        case .SQLITE_CANTOPEN:
            (
                .fileSystem, "The configuration database can't be opened. Check its folder and `hawser-provider init`.",
                false
            )
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            (.damaged, "The configuration database is damaged. Restore it from a backup.", false)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            (.unavailable, "Another program holds the configuration database.", true)
        case .SQLITE_IOERR:
            (.unavailable, "The disk of the configuration database failed. Check it.", true)
        case .SQLITE_CONSTRAINT where error.extendedResultCode == .SQLITE_CONSTRAINT_FOREIGNKEY:
            (.conflict, "It is still in use, or what it belongs to is gone.", false)
        case .SQLITE_CONSTRAINT where error.extendedResultCode == .SQLITE_CONSTRAINT_UNIQUE:
            (.conflict, "There is one of this name already.", false)
        case .SQLITE_CONSTRAINT where error.extendedResultCode == .SQLITE_CONSTRAINT_CHECK:
            (.invalidArgument, "A number is beyond what can be counted.", false)
        default:
            (.internalError, "The configuration database refused. Please report this.", false)
        }
    // What people have done needs no word of SQLite.
    let cause = code == .conflict ? nil : SQLiteProblem(error)
    return HawserError(code, message, place: place, cause: cause, isRetryable: isRetryable)
}

extension HawserError {
    /// The database can't be written: the server's own trouble, whatever was asked of it.
    var isOfReadOnlyDatabase: Bool { code == .accessDenied && cause is SQLiteProblem }
}

/// Without the statement's arguments, which may be nobody's business in a log.
struct SQLiteProblem: Error, CustomStringConvertible {
    let description: String

    init(_ error: DatabaseError) {
        description = "SQLite \(error.extendedResultCode.rawValue): \(error.message ?? "no message")"
    }
}
