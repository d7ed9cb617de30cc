public import HawserControl

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A customer of the provider.
public struct TenantRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var name: String
    public var isEnabled: Bool
    /// The end of the contract, by the wall clock.
    public var leaseEnd: Moment?
    public var settings: TenantSettings
    public var created: Moment
    /// Removed: everything is deleted after this.
    public var deleteAfter: Moment?
    /// The deletion has begun, and can't be taken back.
    public var isDeleting: Bool
}

public struct TenantSettings: Codable, Sendable, Hashable {
    /// The most sessions at one time; `nil` without a limit.
    public var mostSessions: Int?
    /// Bytes a second, all sessions together; `nil` without a limit. Gateway servers enforce it.
    public var bandwidth: Int?
    /// Names of the cloud gateways that the tenant is told of; empty: all. It spreads tenants, and keeps nobody out: a relay
    /// passes on what it can't look into.
    public var gateways: [String]
    /// Whether the tenant may restore and prune what its subtenants have.
    public var reachesSubtenants: Bool
    public var note: String

    public init(
        mostSessions: Int? = nil,
        bandwidth: Int? = nil,
        gateways: [String] = [],
        reachesSubtenants: Bool = true,
        note: String = ""
    ) {
        self.mostSessions = mostSessions
        self.bandwidth = bandwidth
        self.gateways = gateways
        self.reachesSubtenants = reachesSubtenants
        self.note = note
    }
}

/// A part of a tenant with its own devices and folder.
public struct SubtenantRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var tenant: ControlID
    public var name: String
    public var isEnabled: Bool
    public var created: Moment
    /// As of a tenant.
    public var deleteAfter: Moment?
    public var isDeleting: Bool
}

/// A machine that may sign in.
public struct DeviceRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var tenant: ControlID
    public var subtenant: ControlID?
    public var name: String
    /// Ed25519, raw.
    public var publicKey: Data
    public var created: Moment
    public var lastSeen: Moment?
    public var revoked: Moment?
    /// The last one that came to its end, by the wall clock.
    public var lastBackup: Moment?
}

/// What may sign in with a device, and whether it may now.
public struct Identity: Sendable, Hashable {
    public var device: DeviceRecord
    public var tenant: TenantRecord
    public var subtenant: SubtenantRecord?
}

public struct SessionRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    /// Counts up with each session of this provider: tells older sessions from younger.
    public var fence: Int64
    public var tenant: ControlID
    public var subtenant: ControlID?
    public var device: ControlID
    public var purpose: Purpose
    /// Name and version of the program.
    public var agent: String
    public var opened: Moment
    public var lastRequest: Moment
    public var ended: Moment?
    /// Why, where it was not the tenant that closed it.
    public var problem: ControlProblem?
}
