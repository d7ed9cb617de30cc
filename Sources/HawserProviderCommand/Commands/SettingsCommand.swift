import ArgumentParser
import HawserFormat
import HawserProvider

struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings",
        abstract: "See and change how long leases and tickets live, and what a prune may write.",
        subcommands: [SettingsShowCommand.self, SettingsSetCommand.self]
    )
}

struct SettingsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the ledger's settings.",
        discussion: "Example: hawser-provider settings show"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        try SettingsTable.show(try await options.perform(SettingsShow()), options)
    }
}

struct SettingsSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change the ledger's settings, for what is handed out from now on.",
        discussion: "Example: hawser-provider settings set --lease-lifetime 1800 --prune-minimum 1G"
    )

    @Option(help: ArgumentHelp("How long bytes of a lease stay set aside.", valueName: "seconds"))
    var leaseLifetime: Int?
    @Option(help: ArgumentHelp("A lease holds so many seconds of the session's rate at most.", valueName: "seconds"))
    var leaseSpan: Int?
    @Option(help: ArgumentHelp("How long a presigned request is good; 900 at most.", valueName: "seconds"))
    var ticketLifetime: Int?
    @Option(help: ArgumentHelp("The clocks' difference and the longest PUT of a ticket.", valueName: "seconds"))
    var ticketGrace: Int?
    @Option(help: ArgumentHelp("What a prune may write beyond the quota, at least, such as 64M.", valueName: "size"))
    var pruneMinimum: ByteCount?
    @Option(help: ArgumentHelp("Or what is used divided by this, where that is more.", valueName: "n"))
    var pruneDivisor: Int?
    @OptionGroup var options: ProviderOptions

    /// A size.
    struct ByteCount: ExpressibleByArgument {
        var bytes: Int

        init?(argument: String) {
            guard let bytes = ByteSize.bytes(argument) else { return nil }
            self.bytes = bytes
        }
    }

    func run() async throws {
        let settings = try await Administration.with(options.folder) { admin in
            var settings = try await admin.perform(SettingsShow())
            if let leaseLifetime { settings.leaseLifetime = leaseLifetime }
            if let leaseSpan { settings.leaseSpan = leaseSpan }
            if let ticketLifetime { settings.ticketLifetime = ticketLifetime }
            if let ticketGrace { settings.ticketGrace = ticketGrace }
            if let pruneMinimum { settings.pruneMinimum = pruneMinimum.bytes }
            if let pruneDivisor { settings.pruneDivisor = pruneDivisor }
            return try await admin.perform(SettingsSet(settings))
        }
        try SettingsTable.show(settings, options)
    }
}

private enum SettingsTable {
    static func show(_ settings: LedgerSettings, _ options: ProviderOptions) throws {
        func row(_ name: String, _ path: KeyPath<LedgerSettings, Int>, _ text: (Int) -> String) -> [String] {
            [name, text(settings[keyPath: path]), text(LedgerSettings()[keyPath: path])]
        }
        let seconds = { (value: Int) in "\(value) s" }
        try Output.show(
            settings,
            options,
            ["SETTING", "VALUE", "DEFAULT"],
            [
                row("lease-lifetime", \.leaseLifetime, seconds), row("lease-span", \.leaseSpan, seconds),
                row("ticket-lifetime", \.ticketLifetime, seconds), row("ticket-grace", \.ticketGrace, seconds),
                row("prune-minimum", \.pruneMinimum) { ByteSize.text($0) },
                row("prune-divisor", \.pruneDivisor) { String($0) },
            ]
        )
    }
}
