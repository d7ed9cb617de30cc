import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A new folder that goes away with its last reference, whatever lies in it.
final class TemporaryDirectory: Sendable {
    /// Without symlinks, so that it equals what a backup records.
    let path: String
    var url: URL { URL(filePath: path, directoryHint: .isDirectory) }

    init() throws {
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let made: String? = (parent + "/hawser-test-XXXXXX").withCString { template in
            let buffer = strdup(template)
            defer { free(buffer) }
            guard let buffer, mkdtemp(buffer) != nil, let real = realpath(buffer, nil) else { return nil }
            defer { free(real) }
            return String(cString: real)
        }
        guard let made else { throw SystemCallError(name: "mkdtemp", code: errno) }
        path = made
    }

    deinit {
        // `rm` goes by descriptors and so also removes paths beyond the system's limit.
        for command in ["chattr -R -f -i -a", "chmod -R -f u+rwx", "rm -rf"] {
            let words = command.split(separator: " ").map(String.init)
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = words + [path]
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { continue }
            process.waitUntilExit()
        }
    }

    func emptyFile(_ name: String) throws -> FileHandle {
        let file = url.appending(path: name)
        try Data().write(to: file)
        return try FileHandle(forWritingTo: file)
    }
}

struct SystemCallError: Error, CustomStringConvertible {
    var name: String
    var code: Int32

    var description: String { "\(name): \(String(cString: strerror(code)))" }
}

/// Runs a system call and throws what `errno` says when it returns a negative number.
@discardableResult
func systemCall<Result: SignedInteger>(_ name: String, _ call: () -> Result) throws -> Result {
    let result = call()
    guard result >= 0 else { throw SystemCallError(name: name, code: errno) }
    return result
}
