import ArgumentParser
import HawserControl
import HawserFormat
import HawserProvider

struct TenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant",
        abstract: "Manage tenants.",
        subcommands: [
            TenantAddCommand.self, TenantListCommand.self, TenantShowCommand.self, TenantUpdateCommand.self,
            TenantRemoveCommand.self, TenantRestoreCommand.self, TenantJoinCodeCommand.self,
            TenantExportAccessCommand.self,
        ]
    )
}

/// What can be said of a tenant when it is made and later.
struct TenantFields: ParsableArguments {
    @Option(help: ArgumentHelp("The last day of the contract (UTC): 2026-12-31, or none.", valueName: "day"))
    var leaseEnd: OptionalTime?

    @Option(help: ArgumentHelp("The most sessions at one time, or none.", valueName: "count"))
    var sessions: OptionalCount?

    @Option(help: ArgumentHelp("Bytes a second, all sessions together, such as 50M, or none.", valueName: "size"))
    var bandwidth: OptionalSize?

    @Option(
        help: ArgumentHelp(
            "Cloud gateways that the tenant is told of, to spread tenants; all, unless given.",
            valueName: "name"
        )
    )
    var gateway: [String] = []

    @Option(help: ArgumentHelp("Whether the tenant may restore and prune what its subtenants have.", valueName: "bool"))
    var reachesSubtenants: Bool?

    @Option(help: ArgumentHelp("A note for the provider.", valueName: "text"))
    var note: String?

    /// A mistyped year would end all that runs without a word.
    func warn(of tenant: TenantRecord) {
        guard leaseEnd != nil, let end = tenant.leaseEnd, end <= ProviderClock().wall else { return }
        Output.warning(
            "The contract of \(tenant.name) is over since \(end.text) UTC: it can restore, and prune for 30 days, and not back "
                + "up."
        )
    }

    func request(_ tenant: String) -> TenantUpdate {
        var request = TenantUpdate(tenant: tenant)
        request.leaseEnd = leaseEnd.map { AdminChange($0.time) }
        request.mostSessions = sessions.map { AdminChange($0.count) }
        request.bandwidth = bandwidth.map { AdminChange($0.bytes) }
        if !gateway.isEmpty { request.gateways = gateway == ["all"] ? [] : gateway }
        request.reachesSubtenants = reachesSubtenants
        request.note = note
        return request
    }
}

struct TenantAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a tenant.",
        discussion: """
            It has nothing before it gets a quota in a repository: see `quota set`.

            Example: hawser-provider tenant add acme --lease-end 2027-01-01 --sessions 20
            """
    )

    @Argument(help: "The tenant's name.") var name: String
    @OptionGroup var fields: TenantFields
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let settings = TenantSettings(
            mostSessions: fields.sessions?.count,
            bandwidth: fields.bandwidth?.bytes,
            gateways: fields.gateway == ["all"] ? [] : fields.gateway,
            reachesSubtenants: fields.reachesSubtenants ?? true,
            note: fields.note ?? ""
        )
        let request = TenantAdd(name: name, leaseEnd: fields.leaseEnd?.time, settings: settings)
        let tenant = try await options.perform(request)
        fields.warn(of: tenant)
        try Output.show(tenant, options, "Added tenant \(tenant.name) (\(tenant.id)).")
    }
}

struct TenantListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the tenants.",
        discussion: "Example: hawser-provider tenant list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let tenants = try await options.perform(TenantList())
        try Output.show(
            tenants,
            options,
            ["NAME", "STATE", "LEASE END", "SESSIONS", "BANDWIDTH", "NOTE"],
            tenants.map { tenant in
                [
                    tenant.name, tenant.state, tenant.leaseEnd.text,
                    tenant.settings.mostSessions.map(String.init) ?? "-",
                    tenant.settings.bandwidth.map { ByteSize.text($0) + "/s" } ?? "-", tenant.settings.note,
                ]
            }
        )
    }
}

extension TenantRecord {
    var state: String { ownerState(isEnabled: isEnabled, deleteAfter: deleteAfter, isDeleting: isDeleting) }
}

func ownerState(isEnabled: Bool, deleteAfter: Moment?, isDeleting: Bool) -> String {
    if isDeleting { return "removed, being deleted" }
    if let deleteAfter { return "removed, kept until \(deleteAfter.text)" }
    return isEnabled ? "enabled" : "disabled"
}

struct TenantShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show all about a tenant.",
        discussion: "Example: hawser-provider tenant show acme"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(TenantShow(tenant: tenant))
        if options.json { return try Output.show(json: answer) }
        let tenant = answer.tenant
        try Output.show(
            answer,
            options,
            ["Tenant", "\(tenant.name) (\(tenant.id))"],
            [
                ["State", tenant.state], ["Lease end", tenant.leaseEnd.text],
                [
                    "Sessions",
                    "\(answer.sessions.count) of \(tenant.settings.mostSessions.map(String.init) ?? "any number")",
                ],
                ["Bandwidth", tenant.settings.bandwidth.map { ByteSize.text($0) + "/s" } ?? "-"],
                [
                    "Gateways",
                    tenant.settings.gateways.isEmpty ? "all" : tenant.settings.gateways.joined(separator: ", "),
                ],
                ["Subtenants", answer.subtenants.filter { $0.deleteAfter == nil }.map(\.name).joined(separator: ", ")],
                ["Devices", answer.devices.filter { $0.revoked == nil }.map(\.name).joined(separator: ", ")],
                ["Note", tenant.settings.note],
            ]
        )
        if !answer.quotas.isEmpty {
            Output.line("")
            try QuotaTable.show(answer.quotas, options)
        }
    }
}

struct TenantUpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Change a tenant; running sessions hear of it at once.",
        discussion: "Example: hawser-provider tenant update acme --disable"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Flag(help: "Let the tenant do what its contract allows.") var enable = false
    @Flag(help: "End its sessions, and let it do nothing.") var disable = false
    @OptionGroup var fields: TenantFields
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        if enable, disable { throw ValidationError("--enable and --disable contradict each other.") }
    }

    func run() async throws {
        var request = fields.request(tenant)
        request.isEnabled = enable ? true : disable ? false : nil
        let tenant = try await options.perform(request)
        fields.warn(of: tenant)
        try Output.show(tenant, options, "Changed tenant \(tenant.name): \(tenant.state).")
    }
}

struct TenantRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a tenant: its sessions end now, its data is deleted later.",
        discussion: """
            Until the deletion begins, `tenant restore` takes it back.

            Example: hawser-provider tenant remove acme --keep 30
            """
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Option(help: ArgumentHelp("Days for which the data is kept.", valueName: "days")) var keep: Int
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(TenantRemove(tenant: tenant, keepDays: keep))
        try Output.show(answer, options, "Removed tenant \(tenant); its data is deleted in \(keep) days.")
    }
}

struct TenantRestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Take the removal of a tenant back, while its data is kept.",
        discussion: "Example: hawser-provider tenant restore acme"
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let tenant = try await options.perform(TenantRestore(tenant: tenant))
        try Output.show(tenant, options, "Tenant \(tenant.name) is \(tenant.state) again.")
    }
}

struct TenantJoinCodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join-code",
        abstract: "Make a join string with which one machine of the tenant can log in.",
        discussion: """
            It is good once, within 72 hours.

            Example: hawser-provider tenant join-code acme
            """
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Option(help: ArgumentHelp("For a machine of this subtenant.", valueName: "name")) var subtenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(TenantJoinCode(tenant: tenant, subtenant: subtenant))
        try Output.show(answer, options, answer.joinString)
    }
}
