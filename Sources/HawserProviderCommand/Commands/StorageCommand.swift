public import ArgumentParser
public import HawserControl
import HawserFormat
import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage",
        abstract: "Manage the object storages.",
        subcommands: [
            StorageAddCommand.self, StorageListCommand.self, StorageShowCommand.self, StorageUpdateCommand.self,
            StorageRotateKeyCommand.self, StorageRemoveCommand.self, StorageCheckCommand.self,
        ]
    )
}

extension StorageKind: ExpressibleByArgument {}
extension ConnectionMode: ExpressibleByArgument {}
extension AccessPermissions: ExpressibleByArgument {}
extension Grant.Fallback: ExpressibleByArgument {}

/// How a storage is reached.
struct StorageFields: ParsableArguments {
    @Option(help: ArgumentHelp("As the provider's servers reach it: https://host:port.", valueName: "url"))
    var endpoint: String?

    @Option(help: ArgumentHelp("As tenants reach it, where that differs; none: the same.", valueName: "url"))
    var tenantEndpoint: String?

    @Option(
        help: ArgumentHelp(
            "Certificate (PEM) of the storage's private authority, which servers and tenants trust; none: no private one.",
            valueName: "file"
        ),
        completion: .file()
    )
    var tenantCA: String?

    @Option(help: ArgumentHelp("The storage's region. (default: us-east-1)", valueName: "name"))
    var region: String?

    @Option(
        help: ArgumentHelp("path or virtual: how the bucket is named in requests. (default: path)", valueName: "style")
    )
    var addressing: AddressingStyle?

    @Option(help: ArgumentHelp("The access key's id.", valueName: "id"))
    var accessKey: String?

    @Option(
        help: ArgumentHelp("Read the secret access key from this file; - for the standard input.", valueName: "file"),
        completion: .file()
    )
    var secretFile: String?

    @Option(
        help: ArgumentHelp(
            "The role that tenants' temporary credentials are of; none: no temporary credentials.",
            valueName: "arn"
        )
    )
    var stsRole: String?

    @Option(
        help: ArgumentHelp(
            "In place of --sts-role: the user whom the storage's key belongs to; the server makes roles of each folder for it.",
            valueName: "arn"
        )
    )
    var stsPrincipal: String?

    @Option(help: ArgumentHelp("Where temporary credentials are made; none: the usual place.", valueName: "url"))
    var stsEndpoint: String?

    @Option(help: ArgumentHelp("The external id that the role asks for, or none.", valueName: "text"))
    var stsExternalID: String?

    @Option(help: ArgumentHelp("How long temporary credentials are asked for. (default: 336)", valueName: "hours"))
    var stsHours: Int?

    enum AddressingStyle: String, ExpressibleByArgument {
        case path, virtual
    }

    var secret: Data? {
        get throws { try secretFile.map { Data(try SecretInput.read($0)) } }
    }

    func apply(to settings: inout StorageSettings) throws {
        if let endpoint { settings.endpoint = endpoint }
        if let tenantEndpoint { settings.tenantEndpoint = tenantEndpoint == "none" ? nil : tenantEndpoint }
        if let tenantCA {
            let isNone = tenantCA == "none"
            settings.tenantAuthority = isNone ? nil : String(decoding: try SecretInput.read(tenantCA), as: UTF8.self)
        }
        if let region { settings.region = region }
        if let addressing { settings.usesPathStyle = addressing == .path }
        if let accessKey { settings.accessKeyID = accessKey }
        try applySTS(to: &settings)
    }

    private func applySTS(to settings: inout StorageSettings) throws {
        if stsRole == "none" {
            guard stsPrincipal == nil, stsEndpoint == nil, stsExternalID == nil, stsHours == nil else {
                throw ValidationError("--sts-role none takes all of it away: give no other --sts option.")
            }
            settings.sts = nil
            return
        }
        guard stsRole == nil || stsPrincipal == nil else {
            throw ValidationError(
                "Give --sts-role or --sts-principal: one role for all, or roles that the server makes."
            )
        }
        if stsRole != nil || stsPrincipal != nil {
            settings.sts = settings.sts ?? SecurityTokenSettings()
            settings.sts?.roleARN = stsRole
            settings.sts?.principal = stsPrincipal
        }
        guard settings.sts != nil else {
            guard stsEndpoint == nil, stsExternalID == nil, stsHours == nil else {
                throw ValidationError("The other --sts options need --sts-role or --sts-principal.")
            }
            return
        }
        if let stsEndpoint { settings.sts?.endpoint = stsEndpoint == "none" ? nil : stsEndpoint }
        if let stsExternalID { settings.sts?.externalID = stsExternalID == "none" ? nil : stsExternalID }
        if let stsHours {
            guard (1...8760).contains(stsHours) else { throw ValidationError("--sts-hours is 1 to 8760.") }
            settings.sts?.lifetime = stsHours * 3600
        }
    }
}

/// How tenants reach a repository.
struct RepositoryFields: ParsableArguments {
    @Option(help: ArgumentHelp("direct or gateway: which way data goes. (default: direct)", valueName: "mode"))
    var mode: ConnectionMode?

    @Option(
        help: ArgumentHelp(
            "What leaves the provider in direct mode: provider (nothing), sts, shared or tickets. (default: provider)",
            valueName: "access"
        )
    )
    var access: AccessPermissions?

    @Option(
        help: ArgumentHelp("Gateway servers that may serve it, or none; can be given several times.", valueName: "name")
    )
    var gatewayServer: [String] = []

    @Option(
        help: ArgumentHelp("never or gateway: where data goes when direct fails. (default: gateway)", valueName: "way")
    )
    var fallback: Grant.Fallback?

    @Flag(inversion: .prefixedNo, help: "Accept that several tenants have the key of the whole bucket.")
    var acceptSharedBucket: Bool?

    @Option(help: ArgumentHelp("Keep deleted objects for so many days. (default: 0)", valueName: "days"))
    var insiderProtection: Int?

    @Option(
        help: ArgumentHelp(
            "none, read or all: which temporary credentials tenants may hand to other programs. (default: none)",
            valueName: "which"
        )
    )
    var credentialExport: OptionalExport?

    func apply(to settings: inout RepositorySettings) {
        if let mode { settings.mode = mode }
        if let access { settings.access = access }
        if !gatewayServer.isEmpty { settings.gatewayServers = gatewayServer == ["none"] ? [] : gatewayServer }
        if let fallback { settings.fallback = fallback }
        if let acceptSharedBucket { settings.acceptsSharedBucket = acceptSharedBucket }
        if let insiderProtection { settings.insiderProtectionDays = insiderProtection }
        if let credentialExport { settings.credentialExport = credentialExport.export }
    }

    /// A server may be added after the repository that names it; a misspelt one would leave tenants without a way.
    func warnOfUnknownServers(_ admin: any AdminTransport) async throws {
        guard !gatewayServer.isEmpty, gatewayServer != ["none"] else { return }
        let known = try await admin.perform(GatewayList()).filter { $0.kind == .server }.map(\.name)
        for name in gatewayServer where !known.contains(name) {
            Output.warning(
                "There is no gateway server \(displayText(name.utf8)) yet (gateway add --kind server): nothing goes through it."
            )
        }
    }
}

struct StorageAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a storage, and a repository of the same name in it.",
        discussion: """
            Example: hawser-provider storage add main --kind compatible --endpoint https://s3.example:9000 \\
                --bucket backups --access-key AKEXAMPLE --secret-file /etc/hawser/s3-secret --access tickets
            """
    )

    @Argument(help: "The storage's name.") var name: String
    @Option(help: ArgumentHelp("amazon, google or compatible.", valueName: "kind")) var kind: StorageKind
    @Option(help: ArgumentHelp("The bucket.", valueName: "name")) var bucket: String
    @Option(help: ArgumentHelp("Put everything below this.", valueName: "prefix")) var prefix = ""
    @Flag(help: "Make no repository yet.") var noRepository = false
    @OptionGroup var fields: StorageFields
    @OptionGroup var repository: RepositoryFields
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        guard fields.endpoint != nil, fields.accessKey != nil, fields.secretFile != nil else {
            throw ValidationError("Give --endpoint, --access-key and --secret-file.")
        }
    }

    func run() async throws {
        var settings = StorageSettings(kind: kind, endpoint: "", bucket: bucket, prefix: prefix, accessKeyID: "")
        settings.usesPathStyle = kind == .compatible
        try fields.apply(to: &settings)
        var place = RepositorySettings()
        repository.apply(to: &place)
        let request = StorageAdd(
            name: name,
            settings: settings,
            secret: try fields.secret,
            repository: noRepository ? nil : place
        )
        let answer = try await Administration.with(options.folder) { admin in
            if !noRepository { try await repository.warnOfUnknownServers(admin) }
            return try await admin.perform(request)
        }
        let made = answer.repository.map { " with repository \($0.name)" } ?? ""
        try Output.show(answer, options, "Added storage \(name) (\(answer.storage.id))\(made).")
    }
}

struct StorageListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the storages.",
        discussion: "Example: hawser-provider storage list"
    )

    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let storages = try await options.perform(StorageList())
        try Output.show(
            storages,
            options,
            ["NAME", "KIND", "ENDPOINT", "BUCKET", "PREFIX", "KEY"],
            storages.map {
                [
                    $0.name, $0.settings.kind.rawValue, $0.settings.endpoint, $0.settings.bucket, $0.settings.prefix,
                    $0.keyMustBeRotated ? "must be rotated" : $0.settings.accessKeyID,
                ]
            }
        )
    }
}

struct StorageShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show all about a storage, but its secret.",
        discussion: "Example: hawser-provider storage show main"
    )

    @Argument(help: "The storage's name or id.") var storage: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(StorageShow(storage: storage))
        let (storage, settings) = (answer.storage, answer.storage.settings)
        try Output.show(
            answer,
            options,
            ["Storage", "\(storage.name) (\(storage.id))"],
            [
                ["Kind", settings.kind.rawValue], ["Endpoint", settings.endpoint],
                ["Tenants' endpoint", settings.tenantEndpoint ?? "the same"], ["Region", settings.region],
                ["Addressing", settings.usesPathStyle ? "path" : "virtual"], ["Bucket", settings.bucket],
                ["Prefix", settings.prefix], ["Access key", settings.accessKeyID],
                ["Key must be rotated", storage.keyMustBeRotated ? "yes" : "no"],
                ["Temporary credentials", settings.sts?.text ?? "none"],
                ["Checked", settings.checkText],
                ["Repositories", answer.repositories.map(\.name).joined(separator: ", ")],
            ]
        )
    }
}

extension SecurityTokenSettings {
    fileprivate var text: String {
        let source = roleARN.map { "of role \($0)" } ?? principal.map { "of roles for user \($0)" } ?? "of no role"
        var parts = [source, "for \(lifetime / 3600) hours"]
        if let endpoint { parts.append("made at \(endpoint)") }
        if let externalID { parts.append("with external id \(externalID)") }
        return parts.joined(separator: ", ")
    }
}

extension StorageSettings {
    /// What did not hold is why data takes the gateway.
    fileprivate var checkText: String {
        guard let checked, !checked.isEmpty else { return "never (storage check): no sts, no tickets" }
        return checked.sorted { $0.key < $1.key }
            .map { $0.value == Self.held ? "\($0.key) held" : "\($0.key) did not hold: \($0.value)" }
            .joined(separator: "; ")
    }
}

struct StorageUpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Change how a storage is reached, or its key.",
        discussion: "Example: hawser-provider storage update main --access-key AKNEW --secret-file - < new-secret"
    )

    @Argument(help: "The storage's name or id.") var storage: String
    @OptionGroup var fields: StorageFields
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let secret = try fields.secret
        let record = try await Administration.with(options.folder) { admin in
            var settings = try await admin.perform(StorageShow(storage: storage)).storage.settings
            try fields.apply(to: &settings)
            return try await admin.perform(StorageUpdate(storage: storage, settings: settings, secret: secret))
        }
        try Output.show(record, options, "Changed storage \(record.name).")
    }
}

struct StorageRotateKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-key",
        abstract: "Put a new key in the place of a storage's.",
        discussion: """
            The new key has to store, list, read and delete first. Sessions that run go on with what is made by it. Keep the old \
            one valid at the storage for another 80 minutes, so that uploads whose tickets it has signed can end. Where the \
            storage makes temporary credentials, run `storage check` afterwards: that the new key may is not tried here.

            Example: hawser-provider storage rotate-key main --access-key AKNEW --secret-file - < new-secret
            """
    )

    @Argument(help: "The storage's name or id.") var storage: String
    @Option(help: ArgumentHelp("The new access key's id.", valueName: "id")) var accessKey: String
    @Option(
        help: ArgumentHelp("Read the secret access key from this file; - for the standard input.", valueName: "file"),
        completion: .file()
    )
    var secretFile: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let secret = Data(try SecretInput.read(secretFile))
        let record = try await options.perform(
            StorageRotateKey(storage: storage, accessKeyID: accessKey, secret: secret)
        )
        try Output.show(record, options, "Storage \(record.name) has the key \(record.settings.accessKeyID) now.")
    }
}

struct StorageRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Forget a storage that has no repositories.",
        discussion: "Example: hawser-provider storage remove old"
    )

    @Argument(help: "The storage's name or id.") var storage: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(StorageRemove(storage: storage))
        try Output.show(answer, options, "Removed storage \(storage).")
    }
}

struct StorageCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Try whether tenants can get beyond their folders, as a hostile one would.",
        discussion: """
            Makes two folders in the storage, tries with presigned requests and, with --sts-role or --sts-principal, with temporary credentials what a \
            tenant must not be able to do, and removes them again. Direct mode with sts and tickets is given out only when \
            everything held; until then data takes the gateway. Exit code 1 when something did not hold.

            Example: hawser-provider storage check main
            """
    )

    @Argument(help: "The storage's name or id.") var name: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(StorageCheck(storage: name))
        try Output.show(
            answer,
            options,
            ["ACCESS", "ATTEMPT", "MUST", "ANSWER", "HELD"],
            answer.findings.map {
                [
                    $0.access.rawValue, $0.attempt, $0.isAllowed ? "work" : "fail", $0.answer, $0.held ? "yes" : "NO",
                ]
            }
        )
        for (access, held) in answer.held.sorted(by: { $0.key < $1.key }) where !held {
            Output.warning(
                "\(access) does not hold here and is not given out: mend what is named, or use "
                    + (access == "sts" ? "tickets, shared or gateway mode." : "sts, shared or gateway mode.")
            )
        }
        if answer.held.values.contains(false) { throw ExitCode(1) }
    }
}
