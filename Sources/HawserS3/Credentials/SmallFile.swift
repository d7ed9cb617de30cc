import HawserFormat
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files of settings and tokens, read as a whole.
enum SmallFile {
    // Such files have some kilobytes; a variable may point at something else by mistake.
    private static let limit = 1 << 20

    /// - Parameter what: for messages, such as `the credentials file`.
    /// - Returns: `nil` when there is no such file.
    /// - Throws: `accessDenied` when it can't be read.
    static func text(_ path: String, what: String) async throws -> String? {
        try await BlockingExecutor.shared.run { () throws -> String? in
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == ENOTDIR { return nil }
                throw failure(what, path)
            }
            defer { close(descriptor) }
            guard let bytes = readAll(descriptor, limit: limit) else { throw failure(what, path) }
            guard bytes.count <= limit else {
                throw HawserError(.accessDenied, "The file is too long to be \(what).", place: path)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static func failure(_ what: String, _ path: String) -> HawserError {
        HawserError(.accessDenied, "\(what) can't be read: \(String(cString: strerror(errno))).", place: path)
    }
}
