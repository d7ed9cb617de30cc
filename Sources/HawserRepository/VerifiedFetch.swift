import HawserFormat
import HawserTransfer

extension DataMoverTarget {
    /// Fetches a whole object that is called by its own SHA-256 and checks that it is the one.
    ///
    /// A sealed object that took another's place opens without an error: only its name tells them apart.
    /// - Throws: `damaged`, `notFound`.
    func fetchVerified(_ key: ObjectKey) async throws -> [UInt8] {
        let bytes = try await fetch(key, range: nil)
        guard let name = key.name, await ObjectName.hash(of: bytes) == name else {
            throw HawserError(.damaged, "The object's bytes are not those that its name says.", place: key.path)
        }
        return bytes
    }
}

extension ObjectName {
    /// Off the caller's actor: a large object takes a while.
    @concurrent
    static func hash(of bytes: [UInt8]) async -> ObjectName {
        ObjectName(hashOf: bytes)
    }
}
