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
        hawser_tune_allocator()
        _ = hawser_forbid_dumps()
        signal(SIGPIPE, SIG_IGN)
        // Standard output is for what a command prints.
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        do {
            let arguments = EnvironmentOptions.added(to: Array(CommandLine.arguments.dropFirst()), from: environment())
            var command = try GatewayCommand.parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
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
