import HawserFormat
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The profiles of a user, one file each. All calls block for some small files.
public struct ProfileFolder: Sendable {
    public let path: String

    /// What a profile's file is like.
    static let mode: mode_t = 0o600
    static let folderMode: mode_t = 0o700
    static let suffix = ".json"
    // A profile has some KiB.
    private static let longest = 1 << 20

    public init(_ path: String) {
        self.path = path
    }

    /// `$XDG_CONFIG_HOME/hawser/providers` where that variable is set; of root `/etc/hawser/providers`; else
    /// `~/.config/hawser/providers`.
    ///
    /// - Parameter isRoot: whether this process is.
    /// - Throws: `invalidArgument` when there is no home directory.
    public static func standard(environment: (String) -> String?, isRoot: Bool? = nil) throws -> ProfileFolder {
        if let folder = environment("XDG_CONFIG_HOME"), folder.hasPrefix("/") {
            return ProfileFolder(folder + "/hawser/providers")
        }
        if isRoot ?? (geteuid() == 0) { return ProfileFolder("/etc/hawser/providers") }
        guard let home = environment("HOME"), home.hasPrefix("/") else {
            throw HawserError(.invalidArgument, "There is no home directory for the profile: set XDG_CONFIG_HOME.")
        }
        return ProfileFolder(home + "/.config/hawser/providers")
    }

    /// Letters, digits, `.`, `_` and `-`, at most 64, no dot in front.
    public static func isValid(name: String) -> Bool {
        (1...64).contains(name.utf8.count) && name.first != "."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2E, 0x5F, 0x2D: true
                default: false
                }
            }
    }

    /// - Throws: `invalidArgument` for a name that no profile can have.
    public func file(of name: String) throws -> String {
        guard Self.isValid(name: name) else {
            throw HawserError(
                .invalidArgument,
                "A profile's name has letters, digits, dots, hyphens and underscores, at most 64, and no dot in front."
            )
        }
        return path + "/" + name + Self.suffix
    }

    /// In the order of the alphabet.
    public func names() -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let file = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard file.hasSuffix(Self.suffix) else { continue }
            let name = String(file.dropLast(Self.suffix.count))
            if Self.isValid(name: name) { names.append(name) }
        }
        return names.sorted()
    }

    /// - Throws: `notFound`; `accessDenied` when others can read the file: then the key is no secret; `damaged`,
    ///   `unsupported`.
    public func read(_ name: String) throws -> ProviderProfile {
        let file = try file(of: name)
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR {
                throw HawserError(.notFound, "There is no provider «\(name)»: «hawser login» makes one.", place: file)
            }
            throw Self.failure("The profile can't be opened", file)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure("The profile can't be examined", file) }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.longest else {
            throw HawserError(.damaged, "This is no profile.", place: file)
        }
        guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
            throw HawserError(
                .accessDenied,
                "Others can read the device key. Take their access away (chmod 600), have the provider revoke this device, and "
                    + "log in again.",
                place: file
            )
        }
        guard let bytes = readAll(descriptor, limit: Self.longest) else {
            throw Self.failure("The profile can't be read", file)
        }
        do {
            return try ProviderProfile(json: bytes)
        } catch var error as HawserError where error.place == nil {
            error.place = file
            throw error
        }
    }

    /// Replaces the file in one step, durably.
    public func write(_ profile: ProviderProfile, as name: String) throws {
        let place = try NewFile(try file(of: name), in: path)
        try place.write(profile.json)
        try place.publish(replacing: true)
    }

    /// - Throws: `notFound`.
    public func remove(_ name: String) throws {
        let file = try file(of: name)
        guard unlink(file) == 0 else {
            if errno == ENOENT { throw HawserError(.notFound, "There is no provider «\(name)».", place: file) }
            throw Self.failure("The profile can't be removed", file)
        }
    }

    /// Room for a profile that does not exist yet, taken before the one-time code is spent.
    ///
    /// - Throws: `conflict` when there is such a profile.
    func reserve(_ name: String) throws -> NewFile {
        let file = try file(of: name)
        guard access(file, F_OK) != 0 else { throw Self.taken(name, file) }
        return try NewFile(file, in: path)
    }

    static func taken(_ name: String, _ file: String) -> HawserError {
        HawserError(
            .conflict,
            "There is a provider «\(name)» already: log out of it first, or give this one another --name.",
            place: file
        )
    }

    static func failure(_ what: String, _ path: String) -> HawserError {
        let number = errno
        let code: HawserError.Code =
            switch number {
            case ENOSPC, EDQUOT: .storageFull
            case EACCES, EPERM, EROFS, ELOOP: .accessDenied
            default: .fileSystem
            }
        return HawserError(code, "\(what): \(String(cString: strerror(number))).", place: path)
    }
}
