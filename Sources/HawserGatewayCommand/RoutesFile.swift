import HawserFormat
import HawserGateway
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The file of routes, as an administrator has written it.
enum RoutesFile {
    // More than a routes file may have, so that it is refused as that. The path may name something endless by mistake.
    private static let limit = 2 << 20

    static func load(_ path: String) throws -> RelayRoutes {
        let text = try text(path)
        do {
            return try RelayRoutes(yaml: text)
        } catch var error as HawserError {
            error.place = path
            throw error
        }
    }

    private static func text(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard let bytes = readAll(descriptor, limit: limit) else { throw failure(path) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func failure(_ path: String) -> HawserError {
        HawserError(.fileSystem, "The routes file can't be read: \(String(cString: strerror(errno))).", place: path)
    }
}
