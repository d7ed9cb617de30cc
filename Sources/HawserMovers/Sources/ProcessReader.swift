import Glibc
public import HawserFormat
import HawserStorage

extension HawserError.Code {
    /// A command that was to give the content could not be started or failed.
    public static let commandFailed = HawserError.Code("command_failed")
}

/// The standard output of a program.
final class ProcessReader: StreamReader {
    private let path: EntryPath
    private let name: String
    private var output: Int32 = -1
    /// `nil` once it ended.
    private var process: ChildProcess?

    init(_ command: [[UInt8]], path: EntryPath) throws {
        self.path = path
        name = String(decoding: command.first ?? [], as: UTF8.self)
        do throws(ChildProcess.NotStarted) {
            let process = try ChildProcess(command, environment: Self.environment())
            self.process = process
            output = process.output
        } catch {
            throw HawserError(
                .commandFailed,
                "The command \(name) could not be started: \(error.text).",
                place: path.description,
                cause: CallFailure(code: error.number)
            )
        }
    }

    deinit {
        close()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
        guard let process else { return 0 }
        let count = try await FileCalls.read(output, into: buffer, at: path)
        if count > 0 { return count }
        var ending = process.ending()
        // It has closed its output, and may go on for any time.
        while ending == nil {
            try await Task.sleep(for: .milliseconds(10))
            ending = process.ending()
        }
        self.process = nil
        let failure: String? =
            switch ending {
            case nil, .exit(0): nil
            case .exit(let status): "failed with exit status \(status)"
            case .signal(let number): "was ended by signal \(number)"
            }
        if let failure {
            throw HawserError(
                .commandFailed,
                "The command \(name) \(failure). Nothing is kept of this backup.",
                place: path.description
            )
        }
        return 0
    }

    /// A program that still runs is ended: at first it is asked to.
    func close() {
        if output >= 0 { Glibc.close(output) }
        output = -1
        guard let process else { return }
        self.process = nil
        process.end()
    }

    /// This process's environment without what opens a repository.
    static func environment() -> [[UInt8]] {
        ChildProcess.environment { $0.starts(with: "HAWSER_PASSWORD".utf8) || $0.starts(with: "AWS_".utf8) }
    }
}
