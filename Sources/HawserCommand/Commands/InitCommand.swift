import ArgumentParser
import Hawser

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a repository.",
        discussion: """
            A folder is created when it is missing; a bucket must be there, and a provider be logged in to. Without the password nothing can be restored: keep it where the machine's \
            loss does not take it along.

            Examples:
              hawser init --repository /mnt/disk/backup
              hawser init --repository s3:https://s3.example.com/bucket/folder
              hawser init --repository s3:https://s3.example.com/bucket/folder --lock-days 30
              hawser init --repository provider:office
            """
    )

    @OptionGroup var options: RepositoryOptions

    @Option(
        help: ArgumentHelp(
            "Take over that repository's secrets for cutting and naming chunks, so that copies deduplicate.",
            discussion: "Its password is read from --from-password-file or asked for.",
            valueName: "place"
        )
    )
    var from: String?

    @Option(help: ArgumentHelp("Read the other repository's password from this file.", valueName: "file"))
    var fromPasswordFile: String?

    @Option(
        help: ArgumentHelp(
            "Lock what backups need against deletion for so many days: in S3 storage whose bucket has object locks.",
            discussion: """
                What a backup of the last so many days needs can't be deleted with this machine's keys, unless they may \
                bypass governance. The keys need s3:PutObjectRetention and s3:GetObjectRetention. It can't be changed \
                later. Space of what is forgotten comes back when its locks have ended: up to ten days later.
                """,
            valueName: "days"
        )
    )
    var lockDays: Int?

    @Option(
        help: ArgumentHelp(
            "Who can lift locks: with governance whoever has been given that right, with compliance nobody.",
            valueName: "mode"
        )
    )
    var lockMode: LockMode?

    enum LockMode: String, ExpressibleByArgument, CaseIterable {
        case governance, compliance

        var mode: ObjectLock.Mode {
            switch self {
            case .governance: .governance
            case .compliance: .compliance
            }
        }
    }

    func validate() throws {
        if lockMode != nil, lockDays == nil { throw ValidationError("--lock-mode needs --lock-days.") }
        _ = try lock()
    }

    private func lock() throws -> ObjectLock? {
        try lockDays.map { days in try asUsage { try ObjectLock((lockMode ?? .governance).mode, days: days) } }
    }

    func run() async throws {
        options.output.apply()
        let location = try options.location()
        var origin: Repository?
        if let from {
            let bytes =
                try fromPasswordFile.map { try PasswordOptions.read(file: $0) }
                ?? PasswordOptions.prompt(isNew: false, name: "Password of \(displayText(from.rawBytes))")
            let place = try asUsage { try RepositoryLocation(parsing: from, s3: options.storage.s3()) }
            origin = try await Repository.open(at: place, password: PasswordOptions.secret(bytes))
        }
        let id = try await create(at: location, origin)
        var object = JSONObject(type: "initialized")
        object["id"] = .string(id)
        object.set(text: location.description.rawBytes, as: "repository")
        Console.shared.json(object)
        Console.shared.result(
            "created repository \(id.prefix(8)) at \(displayText(location.description.rawBytes))"
        )
        Console.shared.note("Keep the password safe: without it, nothing in the repository can ever be read.")
    }

    /// - Returns: the repository's id.
    private func create(at location: RepositoryLocation, _ origin: Repository?) async throws -> String {
        let lock = try lock()
        if let provider = location.provider {
            guard lock == nil else {
                throw HawserError(
                    .unsupported,
                    "Locks are the provider's there: ask for insider protection. Nothing was changed."
                )
            }
            return try await options.withTarget(provider, .backup) { target in
                try await Self.checkEmpty(target.list(.config), location)
                let password = try await options.password.password(isNew: true)
                try await Repository.create(at: target, password: password, origin: origin)
                return try await Repository.open(at: target, password: password, cacheRoot: nil).id
            }
        }
        guard lock == nil || location.isS3 else {
            throw HawserError(.unsupported, "Only S3 storage has object locks, and this is none. Nothing was changed.")
        }
        let storage = try await location.storage(creating: true)
        let store = try options.layered(storage.store)
        try await Self.checkEmpty(store.objects(.config), location)
        let password = try await options.password.password(isNew: true)
        try await Repository.create(in: store, storage, password: password, origin: origin, lock: lock)
        return try await Repository.open(in: store, storage, password: password).id
    }

    /// Before anybody has to think of a password.
    private static func checkEmpty(_ configurations: ObjectListing, _ location: RepositoryLocation) async throws {
        for try await _ in configurations {
            throw HawserError(
                .repositoryExists,
                "There is a repository already. Nothing was changed.",
                place: location.description
            )
        }
    }
}
