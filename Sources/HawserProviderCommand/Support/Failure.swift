import ArgumentParser
import Glibc
import HawserFormat

/// Says why the command failed, and ends the program: 1 failed, 64 wrong usage.
enum Failure {
    static func exit(_ error: any Error, of command: any ParsableCommand.Type) -> Never {
        // The command has said why.
        if let error = error as? ExitCode { Glibc.exit(error.rawValue) }
        let isJSON = CommandLine.arguments.contains("--json")
        if let error = error as? HawserError {
            report(displayText(error.description.utf8), reason: error.code.description, code: 1, isJSON)
            Glibc.exit(1)
        }
        // Help, wrong usage, and what the argument parser found.
        let code = RootCommand.exitCode(for: error).rawValue
        if code == 0 {
            Output.line(RootCommand.fullMessage(for: error))
        } else if isJSON {
            report(RootCommand.message(for: error), reason: "usage", code: code, isJSON)
        } else {
            Output.warning(text(error, of: command))
        }
        Glibc.exit(code)
    }

    static func text(_ error: any Error, of command: any ParsableCommand.Type) -> String {
        // What a running command finds, the argument parser takes for an error of the root.
        guard let error = error as? ValidationError else { return RootCommand.fullMessage(for: error) }
        return "Error: \(error.message)\nUsage: \(RootCommand.usageString(for: command))"
    }

    private static func report(_ message: String, reason: String, code: Int32, _ isJSON: Bool) {
        guard isJSON else { return Output.warning("hawser-provider: " + message) }
        var object = JSONObject()
        object["message_type"] = .string("exit_error")
        object["code"] = .integer(code)
        object["reason"] = .string(reason)
        object["message"] = .string(message)
        Output.line(String(decoding: JSONValue.object(object).bytes, as: UTF8.self))
    }
}
