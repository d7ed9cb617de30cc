#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// The answer to a sign-in.
public struct SessionAnswer: Codable, Sendable {
    public struct Versions: Codable, Sendable, Hashable {
        public var min: Int
        public var max: Int

        public init(min: Int, max: Int) {
            self.min = min
            self.max = max
        }
    }

    public var session: ControlID
    /// Of all further requests: `Authorization: Bearer TOKEN`. 256 random bits, base64url.
    public var token: String
    public var api: Versions
    public var state: SessionState
    /// `host:port` of the cloud gateways, the least loaded first.
    public var gateways: [String]
    /// Certificates (DER) of all authorities that may have signed the provider's certificates, now or soon.
    public var authorities: [Data]

    public init(
        session: ControlID,
        token: String,
        api: Versions,
        state: SessionState,
        gateways: [String],
        authorities: [Data]
    ) {
        self.session = session
        self.token = token
        self.api = api
        self.state = state
        self.gateways = gateways
        self.authorities = authorities
    }
}

/// All that a session knows of its tenant: the first line of each event stream and the answer to each poll, so that
/// nobody needs a log of what was missed.
public struct SessionState: Codable, Sendable, Hashable {
    /// Seconds since 1970 by the provider's clock.
    public var serverTime: Double
    public var lease: LeaseState
    public var repositories: [RepositoryState]
    /// The provider's words for people while maintenance is on.
    public var maintenance: String?
    /// Bytes a second that this tenant may use, all sessions together. In direct mode each client keeps to it by
    /// itself, and nobody enforces it.
    public var bandwidth: Int?

    public init(
        serverTime: Double,
        lease: LeaseState,
        repositories: [RepositoryState],
        maintenance: String? = nil,
        bandwidth: Int? = nil
    ) {
        self.serverTime = serverTime
        self.lease = lease
        self.repositories = repositories
        self.maintenance = maintenance
        self.bandwidth = bandwidth
    }
}

/// Of the contract between provider and tenant.
public struct LeaseState: Codable, Sendable, Hashable {
    public var isEnabled: Bool
    /// Seconds until the contract ends, negative once it has; `nil` without an end.
    public var expiresIn: Int?

    public init(isEnabled: Bool, expiresIn: Int?) {
        self.isEnabled = isEnabled
        self.expiresIn = expiresIn
    }
}

public struct RepositoryState: Codable, Sendable, Hashable {
    public var repository: ControlID
    public var name: String
    public var quota: QuotaState
    /// What the provider has set; where the data of a grant really goes is in the grant.
    public var mode: ConnectionMode
    /// Counts up with each new set of credentials.
    public var credentialsGeneration: Int
    /// Objects are to be deleted and still there: `GET /v1/repositories/{id}/deletions` names them.
    public var hasPendingDeletions: Bool

    public init(
        repository: ControlID,
        name: String,
        quota: QuotaState,
        mode: ConnectionMode,
        credentialsGeneration: Int,
        hasPendingDeletions: Bool = false
    ) {
        self.repository = repository
        self.name = name
        self.quota = quota
        self.mode = mode
        self.credentialsGeneration = credentialsGeneration
        self.hasPendingDeletions = hasPendingDeletions
    }
}

/// Bytes. For a subtenant: of whichever of its own and the tenant's quota leaves less.
public struct QuotaState: Codable, Sendable, Hashable {
    /// `nil` without a limit.
    public var limit: Int?
    /// What the storage bills: versions, unfinished uploads, padding and metadata included.
    public var used: Int
    /// Set aside for running sessions.
    public var reserved: Int
    /// Of `used`: deleted, and kept by insider protection for now.
    public var pending: Int

    public init(limit: Int?, used: Int, reserved: Int, pending: Int = 0) {
        self.limit = limit
        self.used = used
        self.reserved = reserved
        self.pending = pending
    }

    /// `nil` without a limit; never negative, whatever the numbers are.
    public var free: Int? {
        limit.map { limit in
            let taken = max(0, used).addingReportingOverflow(max(0, reserved))
            return taken.overflow ? 0 : max(0, max(0, limit) - taken.partialValue)
        }
    }
}

/// `GET /v1/sessions`: the tenant's own, for `hawser sessions`.
public struct SessionList: Codable, Sendable {
    public struct Item: Codable, Sendable {
        public var session: ControlID
        public var device: String
        public var subtenant: String?
        public var purpose: Purpose
        public var agent: String
        /// Seconds since it was opened.
        public var age: Int
        /// Seconds since its last request.
        public var idle: Int

        public init(
            session: ControlID,
            device: String,
            subtenant: String?,
            purpose: Purpose,
            agent: String,
            age: Int,
            idle: Int
        ) {
            self.session = session
            self.device = device
            self.subtenant = subtenant
            self.purpose = purpose
            self.agent = agent
            self.age = age
            self.idle = idle
        }
    }

    public var sessions: [Item]

    public init(sessions: [Item]) {
        self.sessions = sessions
    }
}
