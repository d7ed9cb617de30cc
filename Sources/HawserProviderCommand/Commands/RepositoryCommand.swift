import ArgumentParser
import HawserControl
import HawserProvider

struct RepositoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repository",
        abstract: "Manage cloud repositories: parts of a storage with a mode of their own.",
        subcommands: [
            RepositoryAddCommand.self, RepositoryListCommand.self, RepositoryUpdateCommand.self,
            RepositoryRemoveCommand.self,
        ]
    )
}

struct RepositoryAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a repository to a storage.",
        discussion: "Example: hawser-provider repository add offsite --storage main --mode gateway --gateway-server g1"
    )

    @Argument(help: "The repository's name.") var name: String
    @Option(help: ArgumentHelp("The storage's name or id.", valueName: "name")) var storage: String
    @OptionGroup var fields: RepositoryFields
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        var settings = RepositorySettings()
        fields.apply(to: &settings)
        let request = RepositoryAdd(name: name, storage: storage, settings: settings)
        let record = try await Administration.with(options.folder) { admin in
            try await fields.warnOfUnknownServers(admin)
            return try await admin.perform(request)
        }
        try Output.show(record, options, "Added repository \(record.name) (\(record.id)).")
    }
}

struct RepositoryListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the repositories.",
        discussion: "Example: hawser-provider repository list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let (repositories, storages) = try await Administration.with(options.folder) { admin in
            (try await admin.perform(RepositoryList()), try await admin.perform(StorageList()))
        }
        let names = Dictionary(uniqueKeysWithValues: storages.map { ($0.id, $0.name) })
        try Output.show(
            repositories,
            options,
            ["NAME", "STORAGE", "MODE", "ACCESS", "GATEWAY SERVERS", "INSIDER PROTECTION", "EXPORT"],
            repositories.map { repository in
                let settings = repository.settings
                return [
                    repository.name, names[repository.storage] ?? repository.storage.text, settings.mode.rawValue,
                    settings.access.rawValue,
                    settings.gatewayServers.isEmpty ? "-" : settings.gatewayServers.joined(separator: ", "),
                    settings.insiderProtectionDays == 0 ? "-" : "\(settings.insiderProtectionDays) days",
                    settings.credentialExport?.rawValue ?? "-",
                ]
            }
        )
    }
}

struct RepositoryRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Forget a repository in which no tenant has a folder.",
        discussion: "Example: hawser-provider repository remove main"
    )

    @Argument(help: "The repository's name or id.") var repository: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(RepositoryRemove(repository: repository))
        try Output.show(answer, options, "Removed repository \(repository).")
    }
}

struct RepositoryUpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Change a repository; running sessions hear of it.",
        discussion: "Example: hawser-provider repository update main --access tickets"
    )

    @Argument(help: "The repository's name or id.") var repository: String
    @OptionGroup var fields: RepositoryFields
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let record = try await Administration.with(options.folder) { admin in
            let all = try await admin.perform(RepositoryList())
            var settings = all.first { [$0.name, $0.id.text].contains(repository) }?.settings ?? RepositorySettings()
            fields.apply(to: &settings)
            try await fields.warnOfUnknownServers(admin)
            return try await admin.perform(RepositoryUpdate(repository: repository, settings: settings))
        }
        try Output.show(record, options, "Changed repository \(record.name).")
    }
}
