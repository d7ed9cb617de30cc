import ArgumentParser
import Hawser

/// Takes what somebody gave on the command line: a value that can't be meant is wrong usage, exit code 64.
func asUsage<Value>(_ parse: () throws -> Value) throws -> Value {
    do {
        return try parse()
    } catch let error as HawserError where error.code == .invalidArgument {
        throw ValidationError(Failure.text(error))
    }
}

/// What can't be meant, as a running command finds: the argument parser would take it for an error of the root.
struct WrongUsage: Error {
    let message: String
    /// Of the command.
    let usage: String

    init(_ error: ValidationError, of command: any ParsableCommand.Type) {
        message = error.message
        usage = RootCommand.usageString(for: command)
    }

    var text: String { "Error: \(message)\nUsage: \(usage)" }
}

/// A number and what is counted: `1 file`, `2 files`.
func counted(_ number: some BinaryInteger, _ singular: String, _ plural: String? = nil) -> String {
    "\(number) " + (number == 1 ? singular : plural ?? singular + "s")
}
