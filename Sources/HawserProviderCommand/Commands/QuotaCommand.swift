import ArgumentParser
import HawserControl
import HawserFormat
import HawserProvider

struct QuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Say how much tenants may store.",
        subcommands: [QuotaSetCommand.self, QuotaShowCommand.self, QuotaReconcileCommand.self]
    )
}

struct QuotaSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Set a quota; the first one gives the tenant its folder in the repository.",
        discussion: """
            A subtenant's quota lies within its tenant's.

            Example: hawser-provider quota set acme main 500G
            """
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The repository's name or id.") var repository: String
    @Argument(help: "Such as 500G, or none for no limit.") var size: OptionalSize
    @Option(help: ArgumentHelp("For this subtenant.", valueName: "name")) var subtenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let folder = try await options.perform(
            QuotaSet(tenant: tenant, subtenant: subtenant, repository: repository, limit: size.bytes)
        )
        let limit = size.bytes.map { ByteSize.text($0) } ?? "no limit"
        try Output.show(folder, options, "\(subtenant ?? tenant) in \(repository): \(limit).")
    }
}

struct QuotaShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show quotas and what is used of them.",
        discussion: "Example: hawser-provider quota show acme"
    )

    @Argument(help: "The tenant's name or id; all, unless given.") var tenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        try QuotaTable.show(try await options.perform(QuotaShow(tenant: tenant)), options)
    }
}

struct QuotaReconcileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile",
        abstract: "Compare what the storage holds with what the server counts, now.",
        discussion: """
            The server does so by itself once a day. What is found corrects the tenant's numbers; who has more than the \
            quota allows can only restore and prune until there is room. Beside sessions that store, some bytes could count \
            twice: then nothing is corrected, unless more is there than they could have stored, or the last listing is \
            days ago.

            Example: hawser-provider quota reconcile acme
            """
    )

    @Argument(help: "The tenant's name or id; all, unless given.") var tenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let views = try await options.perform(QuotaReconcile(tenant: tenant))
        try Output.show(
            views,
            options,
            [
                "TENANT", "SUBTENANT", "REPOSITORY", "OBJECTS", "STORED", "UNFINISHED", "COUNTED", "CORRECTED",
                "FOREIGN", "",
            ],
            views.map { view in
                let report = view.report
                return [view.tenant, view.subtenant ?? "-", view.repository]
                    + [
                        report.map { String($0.objects) }, report.map { ByteSize.text($0.stored) },
                        report.map { ByteSize.text($0.unfinishedBytes) }, report.map { ByteSize.text($0.before) },
                        report.map { ByteSize.text($0.after) }, report.map { String($0.foreign.count) },
                    ].map { $0 ?? "-" }
                    + [view.problem ?? report?.remark ?? ""]
            }
        )
        guard views.allSatisfy({ $0.problem == nil }) else { throw ExitCode.failure }
    }
}

extension ReconciliationReport {
    fileprivate var remark: String {
        let loose = isDropped ? "sessions store: not corrected" : isLoose ? "sessions store: may count twice" : nil
        return [isOver ? "over quota" : nil, loose].compactMap { $0 }.joined(separator: "; ")
    }
}

enum QuotaTable {
    static func show(_ quotas: [QuotaView], _ options: ProviderOptions) throws {
        try Output.show(
            quotas,
            options,
            ["TENANT", "SUBTENANT", "REPOSITORY", "QUOTA", "USED", "RESERVED", "FREE", ""],
            quotas.map { view in
                let folder = view.folder
                return [
                    view.tenant, view.subtenant ?? "-", view.repository, ByteSize.text(folder.limit),
                    ByteSize.text(folder.used), ByteSize.text(folder.allReserved), ByteSize.text(folder.free),
                    folder.isOver ? "over quota" : "",
                ]
            }
        )
    }
}
