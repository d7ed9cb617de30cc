import ArgumentParser
import Hawser
import HawserControl

struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Make this machine known to a backup provider.",
        discussion: """
            The provider gives you a join string, which is good once. This machine makes a key of its own, has it registered, \
            and keeps it with the provider's address in a file that only you can read.

            Example: hawser login hawser-join:eyJhdXRo... --name office
            """
    )

    @Argument(
        help: ArgumentHelp("What the provider gave you; - reads it from the standard input.", valueName: "join-string")
    )
    var joinString: String

    @Option(help: ArgumentHelp("What you call this provider. (default: the tenant's name)", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("How the provider shows this machine. (default: its host name)", valueName: "name"))
    var device: String?

    @Option(
        help: ArgumentHelp("Keep no key here: take the one that this command prints, each time.", valueName: "command"),
        completion: .shellCommand("compgen -c")
    )
    var keyCommand: String?

    @Option(help: ArgumentHelp("Keep no key here: take this systemd credential, each time.", valueName: "name"))
    var keyCredential: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if keyCommand != nil, keyCredential != nil {
            throw ValidationError("--key-command and --key-credential contradict each other.")
        }
    }

    func run() async throws {
        output.apply()
        let text =
            joinString == "-"
            ? String(decoding: try SmallFile.read("-", what: "join string"), as: UTF8.self) : joinString
        let join = try asUsage { try JoinString(parsing: text) }
        let name = try profileName(join)
        let key: Registration.Key =
            if let keyCommand { .kept(.command(keyCommand)) } else if let keyCredential {
                .kept(.credential(keyCredential))
            } else { .new }
        let profile = try await Registration(join).register(
            as: name,
            in: ProviderOptions.folder(),
            device: device ?? String(decoding: Account.current.host, as: UTF8.self),
            key: key,
            environment: { Environment.value($0) }
        )
        var object = JSONObject(type: "login")
        object["name"] = .string(name)
        object["domain"] = .string(profile.domain)
        object["tenant"] = .string(profile.tenant)
        object["subtenant"] = profile.subtenant.map { .string($0) }
        object["device"] = .string(profile.device.text)
        Console.shared.json(object)
        let owner = ([profile.tenant] + [profile.subtenant].compactMap(\.self)).joined(separator: " / ")
        Console.shared.result("logged in to \(profile.domain) as \(displayText(owner.utf8)), called \(name)")
    }

    private func profileName(_ join: JoinString) throws -> String {
        if let name {
            guard ProfileFolder.isValid(name: name) else {
                throw ValidationError("--name has letters, digits, dots, hyphens and underscores, and no dot in front.")
            }
            return name
        }
        guard ProfileFolder.isValid(name: join.tenant) else {
            throw ValidationError("The tenant's name can't be the provider's name here: give one with --name.")
        }
        return join.tenant
    }
}

struct LogoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout",
        abstract: "Forget a backup provider, and this machine's key for it.",
        discussion: """
            Backups there stay, and need no key of this machine: another machine that logs in reaches them. The provider still \
            lists this machine until it is revoked there.

            Example: hawser logout office
            """
    )

    @OptionGroup var provider: ProviderOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        output.apply()
        let folder = try ProviderOptions.folder()
        let name = try provider.profileName(in: folder)
        try asUsage { try folder.remove(name) }
        var object = JSONObject(type: "logout")
        object["name"] = .string(name)
        Console.shared.json(object)
        Console.shared.result("forgot \(name) and this machine's key for it")
    }
}
