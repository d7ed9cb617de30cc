import ArgumentParser
import HawserGateway

struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join",
        abstract: "Make this machine a gateway of a provider.",
        discussion: """
            Trades the one-time code of a join string (`hawser-provider gateway add`) for the registration of a key, which \
            stays in the data folder: of a gateway server, or of a cloud gateway that is to learn its routes.

            Example:
              hawser-gateway join hawser-join:eyJ2… --data /var/lib/hawser-gateway
            """
    )

    @Argument(help: "The join string; - reads it from standard input.")
    var joinString: String

    @Option(help: "The data folder; made if it is missing.", completion: .directory)
    var data: String

    func run() async throws {
        let text = joinString == "-" ? readLine() ?? "" : joinString
        do {
            let membership = try await GatewayMembership.join(text, folder: data)
            print("Joined as \(membership.serverName).")
        } catch {
            throw CommandFailure(error)
        }
    }
}

/// What is shown of an error: the argument parser would print a whole structure.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ error: any Error) {
        description = "\(error)"
    }
}
