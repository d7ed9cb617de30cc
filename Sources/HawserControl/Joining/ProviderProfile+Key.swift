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
            return try DeviceKey(parsing: try await BlockingExecutor.shared.run { () throws in try Self.run(command) })
        }
    }

    private static func read(_ file: String) throws -> [UInt8] {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw HawserError(.accessDenied, "The device key can't be read: \(reason).", place: file)
        }
        defer { close(descriptor) }
        guard let bytes = ProfileFolder.read(descriptor, limit: longest), bytes.count <= longest else {
            throw HawserError(.accessDenied, "The device key can't be read.", place: file)
        }
        return bytes
    }

    private static func run(_ command: String) throws -> [UInt8] {
        let process: ChildProcess
        do throws(ChildProcess.NotStarted) {
            process = try ChildProcess(
                ["/bin/sh", "-c", command].map { Array($0.utf8) },
                environment: ChildProcess.environment { $0.starts(with: "HAWSER_PASSWORD".utf8) }
            )
        } catch {
            throw HawserError(.accessDenied, "The command for the device key could not be started: \(error.text).")
        }
        let output = ProfileFolder.read(process.output, limit: longest)
        close(process.output)
        guard let output, output.count <= longest else {
            process.end()
            throw HawserError(.accessDenied, "The command for the device key printed something else than a key.")
        }
        guard process.wait() == .exit(0) else {
            throw HawserError(.accessDenied, "The command for the device key failed. Run it by hand to see why.")
        }
        return output
    }
}
