/// `POST /v1/repositories/{id}/leases`: room for bytes that will be stored.
public struct LeaseRequest: Codable, Sendable {
    /// Names the lease, chosen by the client: a request whose answer was lost is sent again, and within a session the
    /// same id is the same lease, given once. `nil` when nothing is asked for.
    public var lease: ControlID?
    /// What is needed; 0 only to give back.
    public var bytes: Int
    /// At present, bytes a second, all uploads together: the provider gives up to 30 s of it.
    public var rate: Int
    /// Leases that are no longer needed, with what was stored on them: settled before bytes are reserved, and even when
    /// that is refused. One that was settled before stays as it was.
    public var settled: [LeaseSettlement]

    public init(lease: ControlID? = nil, bytes: Int, rate: Int, settled: [LeaseSettlement] = []) {
        self.lease = lease
        self.bytes = bytes
        self.rate = rate
        self.settled = settled
    }
}

/// What a client says that it stored on a lease. The ledger believes that it stored at least so much; whether the rest
/// comes back, and when, is the provider's rule (`docs/control-protocol.md`, 7).
public struct LeaseSettlement: Codable, Sendable, Hashable {
    public var lease: ControlID
    public var used: Int

    public init(lease: ControlID, used: Int) {
        self.lease = lease
        self.used = used
    }
}

public struct LeaseAnswer: Codable, Sendable {
    /// That of the request; one of the server's where the request had none. `nil` when nothing was asked for.
    public var lease: ControlID?
    /// Bytes; may be more than was asked for, never less.
    public var bytes: Int
    /// Seconds from when the request was sent.
    public var expiresIn: Int
    public var quota: QuotaState

    public init(lease: ControlID?, bytes: Int, expiresIn: Int, quota: QuotaState) {
        self.lease = lease
        self.bytes = bytes
        self.expiresIn = expiresIn
        self.quota = quota
    }
}

/// An object of the repository, by its key below the tenant's folder.
public struct ObjectRecord: Codable, Sendable, Hashable {
    public var key: String
    /// Bytes.
    public var length: Int

    public init(key: String, length: Int) {
        self.key = key
        self.length = length
    }
}

/// `POST /v1/repositories/{id}/commits`: objects that were stored; and, before a snapshot or checkpoint is written,
/// whether the session is still alive.
public struct CommitRequest: Codable, Sendable {
    public var objects: [ObjectRecord]
    /// The key of a snapshot or checkpoint that is about to be written.
    public var snapshot: String?
    /// The key of the snapshot whose place it takes, as with other tags: its receipt is that one's.
    public var replaces: String?

    public init(objects: [ObjectRecord], snapshot: String? = nil, replaces: String? = nil) {
        self.objects = objects
        self.snapshot = snapshot
        self.replaces = replaces
    }
}

public struct CommitAnswer: Codable, Sendable {
    public var quota: QuotaState
    /// When this request was noted, by the provider's clock: seconds since 1970.
    public var receivedAt: Double

    public init(quota: QuotaState, receivedAt: Double) {
        self.quota = quota
        self.receivedAt = receivedAt
    }
}

/// `GET /v1/repositories/{id}/receipts`: when the provider took note of snapshots.
public struct ReceiptsAnswer: Codable, Sendable {
    public struct Receipt: Codable, Sendable {
        /// Its id, 64 hexadecimal digits.
        public var snapshot: String
        /// Seconds since 1970 by the provider's clock; of one that takes another's place, when that one came.
        public var receivedAt: Double
        /// When this was written down, by the same clock.
        public var notedAt: Double

        public init(snapshot: String, receivedAt: Double, notedAt: Double) {
            self.snapshot = snapshot
            self.receivedAt = receivedAt
            self.notedAt = notedAt
        }
    }

    /// In the order of ids.
    public var receipts: [Receipt]
    /// The id behind which the next page begins; `nil`: this is the last.
    public var next: String?

    public init(receipts: [Receipt], next: String?) {
        self.receipts = receipts
        self.next = next
    }
}

/// `POST /v1/repositories/{id}/deletions`.
public struct DeletionRequest: Codable, Sendable {
    /// Below the tenant's folder.
    public var keys: [String]

    public init(keys: [String]) {
        self.keys = keys
    }
}

public struct DeletionAnswer: Codable, Sendable {
    /// Objects that are gone.
    public var deleted: Int
    /// Objects that insider protection keeps until later, and that still count.
    public var waiting: Int

    public init(deleted: Int, waiting: Int) {
        self.deleted = deleted
        self.waiting = waiting
    }
}

/// `GET /v1/repositories/{id}/deletions`: what is to be deleted and still there.
public struct PendingDeletionsAnswer: Codable, Sendable {
    /// Below the tenant's folder, in no order.
    public var keys: [String]
    /// Where the next page begins; `nil`: this is the last.
    public var next: ControlID?

    public init(keys: [String], next: ControlID?) {
        self.keys = keys
        self.next = next
    }
}
