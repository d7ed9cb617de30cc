import ArgumentParser
import CHawser
import Glibc
import Hawser
import Logging

@main
enum Main {
    static func main() async {
        hawser_open_standard_files()
        tuneProcess()
        // What is in memory are keys: none of it belongs into a core dump.
        _ = hawser_forbid_dumps()
        // Writing to a pipe that nobody reads any more is an error then, which the command can deal with.
        signal(SIGPIPE, SIG_IGN)
        // Notes of the parts are for --verbose; what everybody needs to know, commands say themselves.
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = Console.shared.detail >= .verbose ? .debug : .warning
            return handler
        }
        let arguments = LeadingOptions.movedBehindCommand(rawArguments(), root: RootCommand.self)
        let interruptions = Signals.interruptions()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in interruptions { throw Interrupted() }
                }
                group.addTask {
                    var command = try RootCommand.parseAsRoot(arguments)
                    do {
                        if var command = command as? any AsyncParsableCommand {
                            try await command.run()
                        } else {
                            try command.run()
                        }
                    } catch let error as ValidationError {
                        throw WrongUsage(error, of: type(of: command))
                    }
                }
                defer { group.cancelAll() }
                // The command ends, or a signal comes: the first to happen decides.
                try await group.next()
            }
            Console.shared.flush()
            try Console.shared.checkOutput()
        } catch {
            Failure.exit(error, RootCommand.self)
        }
    }

    private static func rawArguments() -> [String] {
        (1..<max(1, Int(CommandLine.argc))).compactMap { index in
            CommandLine.unsafeArgv[index].map {
                RawArgument.string(Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))))
            }
        }
    }
}
