import ArgumentParser
import Glibc
import Hawser

/// Says why the command failed, and ends the program.
enum Failure {
    /// What a person reads. Places and causes can hold names from file systems and snapshots.
    ///
    /// - Parameter place: has been said already.
    static func text(_ error: any Error, besides place: String? = nil) -> String {
        switch error {
        case let error as HawserError:
            var text = displayText(error.message.rawBytes)
            if let own = error.place, own != place { text = displayText(own.rawBytes) + ": " + text }
            if let cause = error.cause { text += " (" + self.text(cause, besides: error.place ?? place) + ")" }
            return text
        case is Interrupted, is CancellationError: return "Interrupted."
        case let error as OutputFailure: return error.message
        default: return displayText(String(describing: error).utf8)
        }
    }

    static func exit(_ error: any Error, _ root: any ParsableCommand.Type) -> Never {
        let console = Console.shared
        console.endProgress()
        let code: Int32
        switch error {
        case let error as ExitCode:
            // All has been said.
            code = error.rawValue
        case let error as OutputFailure where error.isUnwanted:
            code = ExitStatus.failed
        case is HawserError, is Interrupted, is CancellationError, is OutputFailure:
            code = ExitStatus.code(for: error)
            report(error, code: code)
        case let error as WrongUsage:
            code = ExitStatus.usage
            reportUsage(error.message, error.text, code)
        default:
            // Help, wrong usage, and what the argument parser found.
            code = root.exitCode(for: error).rawValue
            let text = root.fullMessage(for: error)
            if code == 0 { console.write(text + "\n") } else { reportUsage(root.message(for: error), text, code) }
        }
        console.flush()
        Glibc.exit(code)
    }

    private static func reportUsage(_ message: String, _ text: String, _ code: Int32) {
        let console = Console.shared
        if CommandLine.arguments.contains("--json") {
            console.configure(json: true, detail: .normal)
            console.json(exitError(message, reason: "usage", code: code))
        } else {
            console.warning(text)
        }
    }

    private static func report(_ error: any Error, code: Int32) {
        if Console.shared.isJSON {
            let isOutput = error is OutputFailure
            // The place is an item of its own.
            var object = exitError(
                text(error, besides: (error as? HawserError)?.place),
                reason: (error as? HawserError)?.code.description ?? (isOutput ? "output" : "interrupted"),
                code: code
            )
            if let place = (error as? HawserError)?.place { object.set(text: place.rawBytes, as: "item") }
            if isOutput { Console.shared.jsonProblem(object) } else { Console.shared.json(object) }
        } else {
            Console.shared.warning("hawser: " + text(error))
        }
    }

    private static func exitError(_ message: String, reason: String, code: Int32) -> JSONObject {
        var object = JSONObject(type: "exit_error")
        object["code"] = .integer(code)
        object["reason"] = .string(reason)
        object["message"] = .string(message)
        return object
    }
}

extension JSONObject {
    init(type: String) {
        self.init()
        self["message_type"] = .string(type)
    }

    /// Seconds with three decimals.
    mutating func set(_ duration: Duration, as name: String) {
        self[name] = .number(ByteSize.decimals(duration.inSeconds, 3))
    }
}
