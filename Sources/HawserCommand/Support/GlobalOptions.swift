import ArgumentParser
import Hawser
import HawserControl

/// What all commands have.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON: one object a line.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print only results and problems.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Print more.")
    var verbose = false

    func apply() {
        Console.shared.configure(json: json, detail: quiet ? .quiet : verbose ? .verbose : .normal)
    }

    func validate() throws {
        if quiet, verbose { throw ValidationError("--quiet and --verbose contradict each other.") }
    }
}

/// How a repository is found, opened and used.
struct RepositoryOptions: ParsableArguments {
    @Option(
        name: [.customShort("r"), .customLong("repository"), .customLong("repo")],
        help: ArgumentHelp(
            "A folder, s3:https://host/bucket/folder, or provider:name after a login. [HAWSER_REPOSITORY]",
            valueName: "place"
        ),
        completion: .directory
    )
    var repository: String?

    @Option(
        help: ArgumentHelp(
            "At a provider: the subtenant whose repository is meant, to restore, check or prune. [HAWSER_SUBTENANT]",
            valueName: "name"
        )
    )
    var subtenant: String?

    @OptionGroup var password: PasswordOptions

    @Option(
        help: ArgumentHelp("Where this machine keeps what makes it fast. [HAWSER_CACHE_DIR]", valueName: "dir"),
        completion: .directory
    )
    var cacheDir: String?

    @Flag(help: "Keep no cache.")
    var noCache = false

    @Option(
        help: ArgumentHelp(
            "The most memory to use, at least 96M. (default: 128M, over a network 192M)",
            valueName: "size"
        )
    )
    var memory: SizeOption?

    @OptionGroup var limits: LimitOptions

    @OptionGroup var storage: StorageOptions

    @OptionGroup var output: OutputOptions

    static let smallestMemory = 96 << 20
    static let standardMemory = 128 << 20
    /// Three packs are on their way at one time instead of one, which hides the latency of a network.
    static let standardMemoryRemote = 192 << 20

    var memoryBytes: Int {
        if let memory { return memory.bytes }
        return (try? location())?.access.keepsObjects == true ? Self.standardMemoryRemote : Self.standardMemory
    }

    func validate() throws {
        guard memoryBytes >= Self.smallestMemory else { throw ValidationError("--memory is at least 96M.") }
        if password.isEmptyPath || cacheDir == "" { throw ValidationError("The path of an option is empty.") }
    }

    func location() throws -> RepositoryLocation {
        guard let text = repository ?? Environment.value("HAWSER_REPOSITORY"), !text.isEmpty else {
            throw ValidationError("No repository: give --repository or set HAWSER_REPOSITORY.")
        }
        let location = try asUsage { try RepositoryLocation(parsing: text, s3: storage.s3()) }
        guard let subtenant = subtenant ?? Environment.value("HAWSER_SUBTENANT"), !subtenant.isEmpty else {
            return location
        }
        guard var provider = location.provider else {
            throw ValidationError("--subtenant is for a repository at a provider.")
        }
        provider.subtenant = subtenant
        return .provider(provider)
    }

    /// Throttled inside of the retries, so that what is sent again counts again.
    func layered(_ store: any ObjectStore) throws -> any ObjectStore {
        RetryingStore(
            try limits.applied(to: store),
            onRetry: { Console.shared.details("trying again: \($0.operation): \($0.error.message)") }
        )
    }

    var cacheRoot: String? {
        if noCache { return nil }
        if let given = cacheDir ?? Environment.value("HAWSER_CACHE_DIR"), !given.isEmpty { return given }
        return CachePlace.standard
    }

    /// Opens the repository for the time of `body`; one at a provider in a session of this purpose.
    func withRepository<Result: Sendable>(
        _ purpose: Purpose,
        _ body: @escaping @Sendable (Repository) async throws -> Result
    ) async throws -> Result {
        try await withOpening(purpose) { open in try await body(open()) }
    }

    /// Brings about all that opening needs, the password too; `body` opens the repository and can do other things beside it.
    func withOpening<Result: Sendable>(
        _ purpose: Purpose,
        _ body: @escaping @Sendable (_ open: () async throws -> Repository) async throws -> Result
    ) async throws -> Result {
        let location = try location()
        let begin = ContinuousClock.now
        guard let provider = location.provider else {
            let storage = try await location.storage()
            let store = try layered(storage.store)
            let password = try await password.password()
            return try await body {
                let repository = try await Repository.open(in: store, storage, password: password, cache: cacheRoot)
                report(repository, since: begin)
                return repository
            }
        }
        let password = try await password.password()
        return try await withTarget(provider, purpose) { target in
            try await body {
                let repository = try await Repository.open(at: target, password: password, cacheRoot: cacheRoot)
                report(repository, since: begin)
                return repository
            }
        }
    }

    /// Opens a session at a provider for the time of `body`.
    func withTarget<Result: Sendable>(
        _ provider: ProviderLocation,
        _ purpose: Purpose,
        _ body: @escaping @Sendable (TargetDataMover) async throws -> Result
    ) async throws -> Result {
        let access = try await ProviderOptions.access(provider.profile)
        return try await withProviderTarget(
            access.profile,
            key: access.key,
            repository: provider.repository,
            purpose: purpose,
            subtenant: provider.subtenant,
            agent: HawserVersion.text,
            onProfileChange: access.keep,
            layers: { try layered($0) },
            body
        )
    }

    private func report(_ repository: Repository, since begin: ContinuousClock.Instant) {
        if let problem = repository.cacheProblem {
            Console.shared.warning("warning: going on without the local cache: " + Failure.text(problem))
        }
        Console.shared.details(
            "repository \(repository.id.prefix(8)) opened in \(Self.seconds(begin.duration(to: .now))), "
                + "of these \(Self.seconds(repository.unlockDuration)) for the key derivation"
        )
    }

    static func seconds(_ duration: Duration) -> String { ByteSize.decimals(duration.inSeconds, 3) + " s" }
}

enum CachePlace {
    /// The XDG Base Directory Specification's place for caches; `nil` when there is no home either.
    static var standard: String? {
        if let cache = Environment.value("XDG_CACHE_HOME"), cache.hasPrefix("/") { return cache + "/hawser" }
        return Environment.value("HOME").map { $0 + "/.cache/hawser" }
    }
}
