import CHawser
import Glibc
import HawserFormat

/// The server's data folder: 0700, with the configuration database, the provider key unless it comes from elsewhere, and
/// the socket on which the running server takes commands.
public struct ProviderFolder: Sendable, Hashable {
    public var path: String
    /// Instead of the key file in the folder.
    public var keySource: KeySource?

    public enum KeySource: Sendable, Hashable {
        case file(String)
        case command(String)
    }

    public init(_ path: String, keySource: KeySource? = nil) {
        self.path = path
        self.keySource = keySource
    }

    public var database: String { path + "/provider.sqlite" }
    public var keyFile: String { if case .file(let file) = keySource { file } else { path + "/provider.key" } }
    public var adminSocket: String { path + "/admin.sock" }
    /// Whether there is a configuration database.
    public var hasDatabase: Bool { access(database, F_OK) == 0 }

    /// Makes folder, key and database. A key that comes from a command, or a key file that exists, is used as it is.
    ///
    /// - Throws: `conflict` when there is a database already.
    public func initialize(clock: ProviderClock = ProviderClock()) async throws -> ConfigurationDatabase {
        if mkdir(path, 0o700) != 0 {
            guard errno == EEXIST else { throw fileError("The data folder can't be made", path) }
            try requirePrivate()
        }
        guard !hasDatabase else {
            throw HawserError(.conflict, "There is a configuration database already.", place: database)
        }
        var key: ProviderKey
        if case .command(let command) = keySource {
            key = try await .read(command: command)
        } else if access(keyFile, F_OK) == 0 {
            key = try .read(file: keyFile)
        } else {
            key = try .make(file: keyFile, ownedAs: path)
        }
        return try .open(database, key: key, creating: true, clock: clock)
    }

    /// The folder's mode is what guards the admin socket until it has its own.
    private func requirePrivate() throws {
        var status = hawser_file_status()
        guard hawser_file_status(AT_FDCWD, path, 1, &status) == 0 else {
            throw fileError("The data folder can't be read", path)
        }
        guard status.mode & 0o077 == 0 else {
            throw HawserError(.accessDenied, "Others reach the data folder. Run `chmod 700` on it.", place: path)
        }
    }

    public func key() async throws -> ProviderKey {
        if case .command(let command) = keySource { return try await .read(command: command) }
        return try .read(file: keyFile)
    }

    /// - Parameter takeOver: also when another server seems to be running.
    public func open(takeOver: Bool = false, clock: ProviderClock = ProviderClock()) async throws
        -> ConfigurationDatabase
    {
        guard hasDatabase else {
            throw HawserError(
                .notFound,
                "There is no configuration database here. Run `hawser-provider init` first.",
                place: database
            )
        }
        do {
            return try .open(database, key: try await key(), takeOver: takeOver, clock: clock)
        } catch let error as HawserError where error.code == .wrongProviderKey && access(newKeyFile, F_OK) == 0 {
            // A rotation was interrupted after the database had taken the new key.
            let database = try ConfigurationDatabase.open(
                database,
                key: try .read(file: newKeyFile),
                takeOver: takeOver,
                clock: clock
            )
            try moveNewKey()
            return database
        }
    }

    private var newKeyFile: String { keyFile + ".new" }

    /// Makes a new key, has everything sealed under it, and puts its file in the place of the old one. Interrupted
    /// anywhere, one of the two files opens the database, and `open` finds it.
    ///
    /// - Parameter file: holds the new key already, and is to be given from then on; needed when the key comes from a
    ///   command.
    func rotateKey(_ database: ConfigurationDatabase, to file: String? = nil, actor: String) async throws {
        if let file { return try await database.rotateKey(to: .read(file: file), actor: actor) }
        if case .command = keySource {
            throw HawserError(
                .invalidArgument,
                "The provider key comes from a command: make a new one, give it with --new-key-file, and have the "
                    + "command print it afterwards."
            )
        }
        // Of an earlier attempt: the only key that opens the database, or one that sealed nothing.
        if access(newKeyFile, F_OK) == 0 {
            if try await database.isSealed(with: .read(file: newKeyFile)) {
                try moveNewKey()
            } else {
                unlink(newKeyFile)
            }
        }
        let key = try ProviderKey.make(file: newKeyFile, ownedAs: keyFile)
        try await database.rotateKey(to: key, actor: actor)
        try moveNewKey()
    }

    private func moveNewKey() throws {
        guard rename(newKeyFile, keyFile) == 0 else {
            throw fileError("The new key file can't be put in the place of the old one; do it by hand", newKeyFile)
        }
        try ProviderKey.syncFolder(of: keyFile)
    }
}
