public import ArgumentParser
import HawserControl
public import HawserProvider

extension GatewayRecord.Kind: ExpressibleByArgument {}

struct GatewayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Manage cloud gateways (relays) and gateway servers.",
        subcommands: [GatewayAddCommand.self, GatewayListCommand.self, GatewayRemoveCommand.self]
    )
}

struct GatewayAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a gateway.",
        discussion: """
            Join strings that are made from now on name the relays, and tenants hear of them when they sign in. Gateway \
            servers join with the join string that is printed (`hawser-gateway join`), good once and for 72 hours; \
            repositories name them. A relay joins with its own to learn its routes, or has them all in a file.

            Examples:
              hawser-provider gateway add g1 --kind relay --address gateway.example.org:6180
              hawser-provider gateway add gs1 --kind server --address 10.0.0.7:6182
            """
    )

    @Argument(help: "The gateway's name.") var name: String
    @Option(help: ArgumentHelp("relay (the public cloud gateway) or server.", valueName: "kind"))
    var kind: GatewayRecord.Kind
    @Option(help: ArgumentHelp("host:port, as tenants reach a relay, or relays a server.", valueName: "address"))
    var address: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(GatewayAdd(name: name, kind: kind, address: address))
        try Output.show(answer, options, answer.joinString ?? answer.code)
    }
}

struct GatewayListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the gateways.",
        discussion: "Example: hawser-provider gateway list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let gateways = try await options.perform(GatewayList())
        try Output.show(
            gateways,
            options,
            ["NAME", "KIND", "ADDRESS", "JOINED", "LAST SEEN"],
            gateways.map {
                [$0.name, $0.kind.rawValue, $0.address, $0.publicKey == nil ? "no" : "yes", $0.lastSeen.text]
            }
        )
    }
}

struct GatewayRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Name a gateway no more.",
        discussion: "Example: hawser-provider gateway remove g1"
    )

    @Argument(help: "The gateway's name or id.") var gateway: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let (answer, text) = try await Administration.with(options.folder) { admin in
            let record = try await admin.perform(GatewayList()).first { $0.name == gateway || $0.id.text == gateway }
            let answer = try await admin.perform(GatewayRemove(gateway: gateway))
            let name = record?.name ?? gateway
            let repositories = try await admin.perform(RepositoryList())
                .filter { $0.settings.gatewayServers.contains(name) }.map(\.name)
            let tenants = try await admin.perform(TenantList()).filter { $0.settings.gateways.contains(name) }.map(
                \.name
            )
            var lines = ["Removed gateway \(name)."]
            if !repositories.isEmpty {
                lines.append(
                    "These repositories still name it: \(repositories.joined(separator: ", ")) "
                        + "(repository update --gateway-server)."
                )
            }
            if !tenants.isEmpty {
                lines.append(
                    "These tenants are limited to gateways that include it: \(tenants.joined(separator: ", ")) "
                        + "(tenant update --gateway)."
                )
            }
            return (answer, lines.joined(separator: "\n"))
        }
        try Output.show(answer, options, text)
    }
}
