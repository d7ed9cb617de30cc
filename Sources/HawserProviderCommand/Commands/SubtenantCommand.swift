import ArgumentParser
import HawserControl
import HawserProvider

struct SubtenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subtenant",
        abstract: "Manage the parts of a tenant that have devices and a folder of their own.",
        subcommands: [
            SubtenantAddCommand.self, SubtenantListCommand.self, SubtenantUpdateCommand.self,
            SubtenantRemoveCommand.self, SubtenantRestoreCommand.self,
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
            records.map { record in
                let state = ownerState(
                    isEnabled: record.isEnabled,
                    deleteAfter: record.deleteAfter,
                    isDeleting: record.isDeleting
                )
                return [record.name, state, record.id.text]
            }
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
        abstract: "Remove a subtenant: its sessions end now, its data is deleted later, and counts until then.",
        discussion: """
            Until the deletion begins, `subtenant restore` takes it back.

            Example: hawser-provider subtenant remove acme branch-1 --keep 30
            """
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The subtenant's name or id.") var subtenant: String
    @Option(help: ArgumentHelp("Days for which the data is kept.", valueName: "days")) var keep: Int
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let request = SubtenantRemove(tenant: tenant, subtenant: subtenant, keepDays: keep)
        let answer = try await options.perform(request)
        try Output.show(answer, options, "Removed subtenant \(subtenant); its data is deleted in \(keep) days.")
    }
}

struct SubtenantRestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Take the removal of a subtenant back, while its data is kept.",
        discussion: "Example: hawser-provider subtenant restore acme branch-1"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The subtenant's name; or its id, where another has the name now.") var subtenant: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(SubtenantRestore(tenant: tenant, subtenant: subtenant))
        try Output.show(answer, options, "Subtenant \(subtenant) is enabled again.")
    }
}
