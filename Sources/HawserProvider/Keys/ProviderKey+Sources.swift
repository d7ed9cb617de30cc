import CHawser
import Glibc
import HawserFormat
import HawserStorage

/// Where the provider key comes from: a file of its own, or a command such as one that asks a key service.
extension ProviderKey {
    /// Makes a key and its file: 0600, 64 hexadecimal digits.
    ///
    /// - Parameter owner: a path; when root makes the key, its file belongs to whom that belongs to.
    /// - Throws: `conflict` when the file exists: a key is never overwritten.
    public static func make(file: String, ownedAs owner: String? = nil) throws -> ProviderKey {
        let secret = Secret.random(count: length)
        try write(secret, to: file, ownedAs: owner)
        return try ProviderKey(secret)
    }

    private static func write(_ secret: Secret, to file: String, ownedAs owner: String?) throws {
        let descriptor = Glibc.open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST {
                throw HawserError(.conflict, "There is a key file already. It is never overwritten.", place: file)
            }
            throw fileError("The key file can't be made", file)
        }
        defer { close(descriptor) }
        let text = Array((secret.bytes.hex + "\n").utf8)
        do {
            if let owner { try giveToOwner(of: owner, descriptor) }
            guard Glibc.write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0 else {
                throw fileError("The key file can't be written", file)
            }
        } catch {
            unlink(file)
            throw error
        }
        try syncFolder(of: file)
    }

    /// A file's name is on the disk only when its folder is.
    static func syncFolder(of file: String) throws {
        let folder = parentFolder(of: file)
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fileError("The folder of the key can't be opened", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw fileError("The folder of the key can't be written", folder) }
    }

    /// - Throws: `accessDenied` when others may read the file.
    public static func read(file: String) throws -> ProviderKey {
        let descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fileError("The key file can't be read", file) }
        defer { close(descriptor) }
        var status = hawser_file_status()
        guard hawser_file_status(descriptor, "", 1, &status) == 0, status.mode & 0o077 == 0 else {
            throw HawserError(.accessDenied, "Others may read the key file. Run `chmod 600` on it.", place: file)
        }
        return try parse(readAll(descriptor, limit: longest) ?? [], place: file)
    }

    /// - Parameter command: run by `/bin/sh`; prints 64 hexadecimal digits.
    public static func read(command: String) async throws -> ProviderKey {
        try await onQueue {
            do {
                let child = try ChildProcess(
                    ["/bin/sh", "-c", command].map { Array($0.utf8) },
                    environment: ChildProcess.environment { _ in false }
                )
                defer { close(child.output) }
                let bytes = readAll(child.output, limit: longest) ?? []
                guard child.wait() == .exit(0) else {
                    throw HawserError(.fileSystem, "The key command failed.", place: command)
                }
                return try parse(bytes, place: command)
            } catch let error as ChildProcess.NotStarted {
                throw HawserError(.fileSystem, "The key command can't be run: \(error.text).", place: command)
            }
        }
    }

    // A key has 64 digits.
    private static let longest = 4096

    private static func parse(_ bytes: [UInt8], place: String) throws -> ProviderKey {
        let text = String(decoding: bytes, as: UTF8.self).prefix { !$0.isNewline }
        guard let key = [UInt8](hex: text), key.count == length else {
            throw HawserError(.invalidArgument, "A provider key is 64 hexadecimal digits.", place: place)
        }
        return try ProviderKey(Secret(key))
    }
}
