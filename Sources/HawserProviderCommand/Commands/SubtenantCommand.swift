import ArgumentParser
import HawserControl
import HawserProvider

struct SubtenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subtenant",
        abstract: "Manage the parts of a tenant that have devices and a folder of their own.",
        subcommands: [
            SubtenantAddCommand.self, SubtenantListCommand.self, SubtenantUpdateCommand.self,
            SubtenantRemoveCommand.self,
        ]
    )
}

struct SubtenantAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a subtenant.",
        discussion: "Example: hawser-provider subtenant add acme branch-1"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The subtenant's name.") var name: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let record = try await options.perform(SubtenantAdd(tenant: tenant, name: name))
        try Output.show(record, options, "Added subtenant \(record.name) (\(record.id)) of \(tenant).")
    }
}

struct SubtenantListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List a tenant's subtenants.",
        discussion: "Example: hawser-provider subtenant list acme"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let records = try await options.perform(SubtenantList(tenant: tenant))
        try Output.show(
            records,
            options,
            ["NAME", "STATE", "ID"],
            records.map { [$0.name, $0.isEnabled ? "enabled" : "disabled", $0.id.text] }
        )
    }
}

struct SubtenantUpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Enable or disable a subtenant; running sessions hear of it at once.",
        discussion: "Example: hawser-provider subtenant update acme branch-1 --disable"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The subtenant's name or id.") var subtenant: String
    @Flag(help: "Let it do what its tenant may.") var enable = false
    @Flag(help: "End its sessions, and let it do nothing.") var disable = false
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        if enable == disable { throw ValidationError("Give --enable or --disable.") }
    }

    func run() async throws {
        let request = SubtenantUpdate(tenant: tenant, subtenant: subtenant, isEnabled: enable)
        let answer = try await options.perform(request)
        try Output.show(answer, options, "Subtenant \(subtenant) is \(enable ? "enabled" : "disabled").")
    }
}

struct SubtenantRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a subtenant; its data goes on counting for the tenant until it is deleted.",
        discussion: "Example: hawser-provider subtenant remove acme branch-1"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The subtenant's name or id.") var subtenant: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(SubtenantRemove(tenant: tenant, subtenant: subtenant))
        try Output.show(answer, options, "Removed subtenant \(subtenant).")
    }
}
