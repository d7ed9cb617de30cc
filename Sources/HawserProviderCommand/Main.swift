import ArgumentParser
import CHawser
import Glibc

@main
enum Main {
    static func main() async {
        hawser_open_standard_files()
        // What is in memory are keys: none of it belongs into a core dump.
        _ = hawser_forbid_dumps()
        // Writing to a pipe that nobody reads any more is an error then, which the command can deal with.
        signal(SIGPIPE, SIG_IGN)
        var running: any ParsableCommand.Type = RootCommand.self
        do {
            var command = try RootCommand.parseAsRoot()
            running = type(of: command)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Failure.exit(error, of: running)
        }
    }
}
