import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// Reads the whole memory of a process that runs, and looks for secrets: `scripts/search-memory`.
enum MemorySearch {
    /// Only root may, on Linux.
    static let isPossible = geteuid() == 0 && FileManager.default.fileExists(atPath: "/proc/self/mem")

    private static let program = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../scripts/search-memory").standardizedFileURL.path

    /// Where the process has one of the secrets in some form: the form, which of them, and where. `nil` when the process has
    /// ended.
    static func places(of secrets: [Data], in process: pid_t) async throws -> Set<String>? {
        // Masked, so that they are nowhere because of this.
        let masked = secrets.map { secret in
            secret.map { byte in
                let hex = String(byte ^ 0xA5, radix: 16)
                return hex.count == 1 ? "0" + hex : hex
            }.joined()
        }
        let result = try await RunningCommand(
            program,
            [String(process)],
            environment: ProcessInfo.processInfo.environment,
            input: Data(masked.joined(separator: "\n").utf8)
        ).result()
        var lines = result.text.split(separator: "\n").map(String.init)
        guard result.status == 0, let read = lines.popLast(), (Int(read.dropFirst(5)) ?? 0) > 1 << 20 else {
            return nil
        }
        return Set(lines)
    }
}
