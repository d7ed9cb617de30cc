public import HawserControl

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A cloud gateway, or a gateway server.
public struct GatewayRecord: Codable, Sendable, Hashable {
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// Relays by server name; holds no keys.
        case relay
        /// Runs the target movers of gateway mode.
        case server
    }

    public var id: ControlID
    public var kind: Kind
    public var name: String
    /// `host:port`, as tenants (relay) or the relay (server) reach it.
    public var address: String
    /// What it registered by its join code.
    public var publicKey: Data?
    public var created: Moment
    public var lastSeen: Moment?
}

/// What a join code lets in.
public enum JoinSubject: Sendable, Hashable {
    case device(tenant: ControlID, subtenant: ControlID?)
    case gateway(ControlID)
}

/// Credentials of the storage that were issued for a folder. The secret itself is sealed apart.
public struct CredentialRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var folder: ControlID
    public var purpose: Purpose
    public var generation: Int
    public var issued: Moment
    public var expires: Moment
}

/// Objects that a session asked to delete.
public struct DeletionRecord: Codable, Sendable, Hashable {
    public enum State: String, Codable, Sendable {
        /// Can turn into: done, held.
        case waiting
        /// The provider has to approve. Can turn into: waiting.
        case held
        case done
    }

    public var id: ControlID
    public var folder: ControlID
    public var session: ControlID
    /// Below the folder.
    public var keys: [String]
    public var requested: Moment
    /// Insider protection.
    public var notBefore: Moment
    public var state: State
}

public struct AuditEntry: Codable, Sendable, Hashable {
    public var sequence: Int64
    public var time: Moment
    /// Who: `admin`, `server`, a tenant's device.
    public var actor: String
    /// What, such as `tenant.add`.
    public var action: String
    /// Whom it concerns.
    public var subject: String
    public var detail: String
    /// SHA-256, hexadecimal.
    public var hash: String
}

/// A folder on one day (UTC): bytes that were stored, from samples over the day, and what was done.
public struct UsageDay: Codable, Sendable, Hashable {
    public var folder: ControlID
    /// `2026-01-31`.
    public var day: String
    public var samples: Int
    public var average: Int
    public var peak: Int
    /// That passed the provider's servers.
    public var requests: Int
    /// Bytes of objects that his gateway servers sent.
    public var egress: Int
}
