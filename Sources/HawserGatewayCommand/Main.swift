import ArgumentParser
import CHawser
import HawserFormat
import Logging

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@main
enum Main {
    static func main() async {
        hawser_open_standard_files()
        hawser_tune_allocator()
        _ = hawser_forbid_dumps()
        signal(SIGPIPE, SIG_IGN)
        // Standard output is for what a command prints.
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var running: any ParsableCommand.Type = GatewayCommand.self
        do {
            let arguments = EnvironmentOptions.added(to: Array(CommandLine.arguments.dropFirst()), from: environment())
            var command = try GatewayCommand.parseAsRoot(arguments)
            running = type(of: command)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let error as ValidationError {
            // What a running command finds, the argument parser would take for an error of the root.
            let text = "Error: \(error.message)\nUsage: \(GatewayCommand.usageString(for: running))\n"
            _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
            exit(ExitCode.validationFailure.rawValue)
        } catch {
            GatewayCommand.exit(withError: error)
        }
    }
}

struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hawser-gateway",
        abstract:
            "The provider's gateways: the public port in front of all servers, and the servers that write to the storage.",
        version: HawserVersion.text,
        subcommands: [RelayCommand.self, JoinCommand.self, ServeCommand.self]
    )
}
