import HawserFormat
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ProviderProfile.KeyPlace {
    // 44 bytes in base64; a command that prints without end is not read without end.
    private static let longest = 4 << 10

    /// The key, read from where it is.
    ///
    /// - Parameter environment: for `CREDENTIALS_DIRECTORY`.
    /// - Throws: `accessDenied` when it can't be had, `invalidArgument` when it is no key.
    public func deviceKey(environment: @Sendable (String) -> String?) async throws -> DeviceKey {
        switch self {
        case .profile(let key):
            return key
        case .credential(let name):
            guard ProfileFolder.isValid(name: name) else {
                throw HawserError(.accessDenied, "«\(name)» is no name of a systemd credential.")
            }
            guard let folder = environment("CREDENTIALS_DIRECTORY"), folder.hasPrefix("/") else {
                throw HawserError(
                    .accessDenied,
                    "The device key is a credential of the service manager, and there is none: run this as a systemd service "
                        + "with LoadCredential=\(name)."
                )
            }
            let file = folder + "/" + name
            return try DeviceKey(parsing: try await BlockingExecutor.shared.run { () throws in try Self.read(file) })
        case .command(let command):
            let printed = try await BlockingExecutor.shared.run { () throws in
                try ChildProcess.output(of: command, limit: Self.longest, name: "The command for the device key")
            }
            return try DeviceKey(parsing: printed)
        }
    }

    private static func read(_ file: String) throws -> [UInt8] {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw HawserError(.accessDenied, "The device key can't be read: \(reason).", place: file)
        }
        defer { close(descriptor) }
        guard let bytes = readAll(descriptor, limit: longest), bytes.count <= longest else {
            throw HawserError(.accessDenied, "The device key can't be read.", place: file)
        }
        return bytes
    }
}
