import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a command ended, and what it said.
struct CommandResult: Sendable, CustomStringConvertible {
    enum End: Equatable, Sendable {
        case exit(Int32)
        case signal(Int32)
    }

    var command: String
    var end: End
    var output: Data
    var errors: Data

    /// The exit code; `nil` when a signal ended the command.
    var status: Int32? {
        if case .exit(let code) = end { code } else { nil }
    }

    var text: String { String(decoding: output, as: UTF8.self) }

    /// Both streams, for looking up names in messages.
    var allText: String { text + String(decoding: errors, as: UTF8.self) }

    var description: String { "\(command)\n\(end)\n\(allText.suffix(4_000))" }

    /// The objects of `--json`: one a line, or an array of them.
    var objects: [[String: Any]] {
        output.split(separator: UInt8(ascii: "\n")).flatMap { line -> [[String: Any]] in
            switch try? JSONSerialization.jsonObject(with: Data(line)) {
            case let object as [String: Any]: [object]
            case let array as [[String: Any]]: array
            default: []
            }
        }
    }

    func message(_ type: String) -> [String: Any]? {
        objects.last { $0["message_type"] as? String == type }
    }
}

/// A command that runs. Its output goes to files, so that no full pipe can stop it.
final class RunningCommand: Sendable {
    let processIdentifier: pid_t
    private let line: String
    private let streams: TemporaryDirectory
    private let end: Task<CommandResult.End, Never>

    init(_ program: String, _ arguments: [String], environment: [String: String], input: Data? = nil) throws {
        let streams = try TemporaryDirectory()
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.environment = environment
        var files = [try streams.emptyFile("output"), try streams.emptyFile("errors")]
        process.standardOutput = files[0]
        process.standardError = files[1]
        if let input {
            try input.write(to: streams.url.appending(path: "input"))
            files.append(try FileHandle(forReadingFrom: streams.url.appending(path: "input")))
            process.standardInput = files[2]
        } else {
            process.standardInput = FileHandle.nullDevice
        }
        let (ends, ended) = AsyncStream.makeStream(of: CommandResult.End.self)
        process.terminationHandler = { process in
            ended.yield(
                process.terminationReason == .exit
                    ? .exit(process.terminationStatus) : .signal(process.terminationStatus)
            )
            ended.finish()
        }
        // Foundation keeps what has ended, and reads past the end of a buffer when some 1,360 files are open.
        defer { for file in files { try? file.close() } }
        try process.run()
        processIdentifier = process.processIdentifier
        line = ([program] + arguments).joined(separator: " ")
        self.streams = streams
        end = Task {
            for await end in ends { return end }
            return .signal(0)
        }
    }

    var isRunning: Bool { kill(processIdentifier, 0) == 0 }

    func send(_ signal: Int32) {
        kill(processIdentifier, signal)
    }

    private struct NeverSaid: Error {
        var text: String
        var errors: String
    }

    /// What is in the standard error up to now.
    func errors() throws -> String {
        String(decoding: try Data(contentsOf: streams.url.appending(path: "errors")), as: UTF8.self)
    }

    /// Waits until the standard error has this text.
    func waitForErrors(_ text: String) async throws {
        while true {
            // It may say it with its last breath.
            let hasEnded = !isRunning
            let errors = try errors()
            if errors.contains(text) { return }
            if hasEnded { throw NeverSaid(text: text, errors: errors) }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Waits for the end; after `timeout` the command is killed, which the result then shows.
    func result(timeout: Duration = .seconds(300)) async throws -> CommandResult {
        let watchdog = Task {
            try await Task.sleep(for: timeout)
            send(SIGKILL)
        }
        let end = await end.value
        watchdog.cancel()
        return CommandResult(
            command: line,
            end: end,
            output: try Data(contentsOf: streams.url.appending(path: "output")),
            errors: try Data(contentsOf: streams.url.appending(path: "errors"))
        )
    }
}
