public import HawserFormat
public import HawserStorage

/// A request that somebody else has signed for whoever holds it: it is sent as it is, and no other can be made of it.
public struct S3Ticket: Sendable {
    /// With the signature in its query.
    public var url: String
    /// All headers that are signed, but `host`.
    public var headers: [(name: String, value: String)]

    public init(url: String, headers: [(name: String, value: String)]) {
        self.url = url
        self.headers = headers
    }
}

/// Who signs requests to a storage for somebody without credentials.
public protocol S3TicketIssuer: Sendable {
    /// - Returns: `nil` when the object is stored already.
    /// - Throws: `quotaExceeded`.
    func ticket(toPut key: ObjectKey, length: Int, sha256: ObjectName) async throws -> S3Ticket?

    /// - Parameter isRefused: the storage has just refused the last one for this object, which may have expired.
    func ticket(toGet key: ObjectKey, isRefused: Bool) async throws -> S3Ticket

    /// As `ObjectStore.list`.
    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo]
}
