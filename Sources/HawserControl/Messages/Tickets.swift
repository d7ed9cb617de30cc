package import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// `POST /v1/repositories/{id}/tickets`: asks for presigned requests to the storage, in direct mode with access `tickets`.
public struct TicketRequest: Codable, Sendable {
    /// An object that is about to be stored.
    public struct Put: Codable, Sendable, Hashable {
        /// Below the tenant's folder.
        public var key: String
        /// Bytes.
        public var length: Int
        /// Of its bytes: 32 bytes.
        public var sha256: Data

        public init(key: String, length: Int, sha256: Data) {
            self.key = key
            self.length = length
            self.sha256 = sha256
        }
    }

    public var puts: [Put]
    /// Keys of objects to be read, where the grant came without credentials for reading.
    public var gets: [String]

    public init(puts: [Put] = [], gets: [String] = []) {
        self.puts = puts
        self.gets = gets
    }
}

/// Both lists are in the order of the request's.
public struct TicketAnswer: Codable, Sendable {
    public var puts: [Ticket]
    public var gets: [Ticket]
    public var quota: QuotaState

    public init(puts: [Ticket], gets: [Ticket], quota: QuotaState) {
        self.puts = puts
        self.gets = gets
        self.quota = quota
    }
}

/// One request to the storage, signed by the provider: it is sent just as it is, and no other can be made of it.
public struct Ticket: Codable, Sendable, Hashable {
    public enum Outcome: String, Codable, Sendable, CaseIterable {
        /// `url` and `headers` are there.
        case granted
        /// This session has stored the object already.
        case stored
        /// The quota has no room for it.
        case refused
    }

    public var key: String
    public var outcome: Outcome
    public var url: String?
    /// All that are signed, but `host`: to be sent exactly so. A GET may have a `range` besides.
    public var headers: [String: String]?
    /// Seconds from when the request was sent.
    public var expiresIn: Int?

    public init(
        key: String,
        outcome: Outcome,
        url: String? = nil,
        headers: [String: String]? = nil,
        expiresIn: Int? = nil
    ) {
        self.key = key
        self.outcome = outcome
        self.url = url
        self.headers = headers
        self.expiresIn = expiresIn
    }
}

extension ObjectKey {
    /// Whether an upload's bytes are those that the key names. Otherwise a storage that does not know `if-none-match` would
    /// let it replace another object.
    ///
    /// - Throws: `invalidArgument`.
    package func check(_ sha256: ObjectName) throws {
        guard name == nil || name == sha256 else {
            throw HawserError(
                .invalidArgument,
                "The object is named by another SHA-256 than its bytes have.",
                place: path
            )
        }
    }
}
