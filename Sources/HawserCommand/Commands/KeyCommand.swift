import ArgumentParser
import Hawser
import HawserControl

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Manage the passwords that open the repository.",
        subcommands: [KeyList.self, KeyAdd.self, KeyRemove.self, KeyPassword.self, KeyRotate.self]
    )
}

extension RepositoryOptions {
    /// The keys alone, without the index.
    func withKeys<Result: Sendable>(
        _ purpose: Purpose,
        _ body: @escaping @Sendable (RepositoryKeys) async throws -> Result
    ) async throws -> Result {
        let location = try location()
        let password = try await password.password()
        guard let provider = location.provider else {
            let storage = try await location.storage()
            return try await body(RepositoryKeys.open(in: layered(storage.store), storage, password: password))
        }
        return try await withTarget(provider, purpose) {
            try await body(RepositoryKeys.open(at: $0, password: password))
        }
    }
}

/// A password that is new to the repository, and what its key is called.
struct NewKeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Read the new password from this file.", valueName: "file"), completion: .file())
    var newPasswordFile: String?

    @Option(help: ArgumentHelp("The user that the key names. (default: you)", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("The host that the key names. (default: this machine)", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("What you call the key.", valueName: "text"))
    var label: String?

    func password() throws -> Secret {
        let bytes =
            try newPasswordFile.map { try PasswordOptions.read(file: $0) }
            ?? PasswordOptions.prompt(isNew: true, name: "New password")
        return try PasswordOptions.secret(bytes)
    }

    var metadata: KeySlot.Metadata {
        let account = Account.current
        return KeySlot.Metadata(
            created: .now,
            username: user?.rawBytes ?? account.user,
            hostname: host?.rawBytes ?? account.host,
            label: label?.rawBytes ?? []
        )
    }
}

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the keys.",
        discussion: """
            Who made a key and when can be read only with its password: of the others only the id is shown.

            Example: hawser key list
            """
    )

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let keys = try await options.withKeys(.restore) { try await $0.list() }
        Console.shared.json(array: keys.map { .object($0.json) })
        var rows = [["ID", "User", "Host", "Created", "Label"]]
        for key in keys {
            let mark = key.isCurrent ? "*" : " "
            if let data = key.metadata {
                rows.append([
                    mark + key.id.hex.prefix(8), displayText(data.username), displayText(data.hostname),
                    TimeText.local(data.created), displayText(data.label),
                ])
            } else {
                rows.append([mark + key.id.hex.prefix(8), "-", "-", "-", key.problem.map { Failure.text($0) } ?? ""])
            }
        }
        for line in Columns.align(rows) { Console.shared.result(line) }
        if keys.contains(where: { $0.problem != nil }) { throw ExitCode.failedQuietly }
    }
}

extension RepositoryKeys.Key {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object["current"] = .bool(isCurrent)
        object["id"] = .string(id.hex)
        if let metadata {
            object.set(text: metadata.username, as: "userName")
            object.set(text: metadata.hostname, as: "hostName")
            object.set(text: metadata.label, as: "label")
            object["created"] = metadata.created.text.map { .string($0) }
            object["epoch"] = .integer(epoch)
        }
        object["problem"] = problem.map { .string(Failure.text($0)) }
        return object
    }
}

struct KeyAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a password.",
        discussion: "Example: hawser key add --new-password-file second-password --label 'safe'"
    )

    @OptionGroup var key: NewKeyOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let id = try await options.withKeys(.backup) {
            try await $0.add(password: key.password(), metadata: key.metadata)
        }
        KeyReport.show("added", id)
    }
}

struct KeyRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a key; its password opens the repository no more.",
        discussion: """
            Whoever has opened the repository with it may have kept its keys: «hawser key rotate» makes new ones.

            Example: hawser key remove 3f7a
            """
    )

    @Argument(help: "The key's id, or the beginning of it.")
    var id: String

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        KeyReport.show("removed", try await options.withKeys(.prune) { try await $0.remove(id) })
    }
}

struct KeyPassword: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd",
        abstract: "Change the password in use.",
        discussion: "Example: hawser key passwd --new-password-file new-password"
    )

    @OptionGroup var key: NewKeyOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let id = try await options.withKeys(.prune) {
            try await $0.changePassword(to: key.password(), metadata: key.metadata)
        }
        KeyReport.show("changed", id)
    }
}

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Begin a new epoch of secrets.",
        discussion: """
            Whoever knew the keys up to now can't read what is stored from now on. The password in use and those of \
            --keep-password-file stay; all other keys are removed.

            Example: hawser key rotate --keep-password-file second-password
            """
    )

    @Option(
        help: ArgumentHelp("Another password that stays; can be given several times.", valueName: "file"),
        completion: .file()
    )
    var keepPasswordFile: [String] = []

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let others = try keepPasswordFile.map { try PasswordOptions.secret(PasswordOptions.read(file: $0)) }
        let rotation = try await options.withKeys(.prune) { try await $0.rotate(keeping: others) }
        var object = JSONObject(type: "summary")
        object["epoch"] = .integer(rotation.epoch)
        object["added"] = .array(rotation.added.map { .string($0.hex) })
        object["replaced"] = .array(rotation.replaced.map { .string($0.id.hex) })
        object["dropped"] = .array(rotation.dropped.map { .string($0.id.hex) })
        Console.shared.json(object)
        Console.shared.result(
            "epoch \(rotation.epoch) begins; \(counted(rotation.added.count, "key stays", "keys stay"))"
        )
        for key in rotation.dropped {
            Console.shared.warning("removed, since its password was not given: key \(key.id.hex.prefix(8))")
        }
    }
}

private enum KeyReport {
    static func show(_ action: String, _ id: ObjectName) {
        var object = JSONObject(type: "summary")
        object["action"] = .string(action)
        object["id"] = .string(id.hex)
        Console.shared.json(object)
        Console.shared.result("\(action) key \(id.hex.prefix(8))")
    }
}
