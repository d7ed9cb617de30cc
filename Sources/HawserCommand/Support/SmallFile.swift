import Glibc
import Hawser

/// Files that are lists or passwords, read as a whole.
enum SmallFile {
    /// A list of paths for a backup can be long.
    private static let limit = 1 << 30

    /// - Parameter path: `-` for the standard input.
    static func read(_ path: String, what: String) throws -> [UInt8] {
        let descriptor =
            path == "-" ? dup(STDIN_FILENO) : path.rawBytes.withNullTerminated { open($0, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw failure(what, path, errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0, bytes.count <= limit else { throw failure(what, path, count < 0 ? errno : EFBIG) }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private static func failure(_ what: String, _ path: String, _ code: Int32) -> HawserError {
        HawserError(.fileSystem, "The \(what) can't be read: \(String(cString: strerror(code))).", place: path)
    }
}

extension [UInt8] {
    /// As C wants a path. Nothing is found when the bytes hold a NUL.
    func withNullTerminated<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        let text = (contains(0) ? [] : map { CChar(bitPattern: $0) }) + [0]
        return text.withUnsafeBufferPointer { buffer in
            // The array is never empty.
            body(buffer.baseAddress.unsafelyUnwrapped)
        }
    }
}
