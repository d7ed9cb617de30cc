public import HawserControl
import HawserS3

/// An object storage of the provider, with what is needed to reach it. Its secret is kept apart, sealed.
public struct StorageRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var name: String
    public var settings: StorageSettings
    public var created: Moment
    /// The key has been with somebody who must not use it any more.
    public var keyMustBeRotated: Bool
}

public struct StorageSettings: Codable, Sendable, Hashable {
    public var kind: StorageKind
    /// As the provider's servers reach it, such as `https://s3.internal:9000`.
    public var endpoint: String
    /// As tenants reach it, where that differs.
    public var tenantEndpoint: String?
    /// Certificate (PEM) of a private authority, for the servers and for tenants.
    public var tenantAuthority: String?
    public var region: String
    public var usesPathStyle: Bool
    public var bucket: String
    /// Below which everything lies; empty, or without `/` at its ends.
    public var prefix: String
    public var accessKeyID: String
    /// How temporary credentials are made; `nil`: not at all.
    public var sts: SecurityTokenSettings?
    /// What `storage check` found: for each kind of access `held`, or what did not hold.
    public var checked: [String: String]?

    public init(
        kind: StorageKind,
        endpoint: String,
        tenantEndpoint: String? = nil,
        tenantAuthority: String? = nil,
        region: String = "us-east-1",
        usesPathStyle: Bool = true,
        bucket: String,
        prefix: String = "",
        accessKeyID: String
    ) {
        self.kind = kind
        self.endpoint = endpoint
        self.tenantEndpoint = tenantEndpoint
        self.tenantAuthority = tenantAuthority
        self.region = region
        self.usesPathStyle = usesPathStyle
        self.bucket = bucket
        self.prefix = prefix
        self.accessKeyID = accessKeyID
    }
}

extension StorageSettings {
    /// Whether temporary credentials that one of the two has made are what the other would make.
    func makesCredentials(like other: StorageSettings) -> Bool {
        accessKeyID == other.accessKeyID && endpoint == other.endpoint && sts == other.sts
    }

    /// As far as their addresses tell.
    func isSameBucket(as other: StorageSettings) -> Bool {
        guard bucket == other.bucket else { return false }
        // Amazon has many endpoints, and a name of a bucket once.
        if (kind, other.kind) == (.amazon, .amazon) || endpoint == other.endpoint { return true }
        return (try? S3Endpoint(parsing: endpoint) == S3Endpoint(parsing: other.endpoint)) ?? false
    }

    /// Whether what a check found for one of the two holds for the other.
    func isChecked(like other: StorageSettings) -> Bool {
        endpoint == other.endpoint && bucket == other.bucket && sts?.roleARN == other.sts?.roleARN
            && sts?.principal == other.sts?.principal
            && sts?.endpoint == other.sts?.endpoint
    }
}

/// How a storage gives temporary credentials (STS).
public struct SecurityTokenSettings: Codable, Sendable, Hashable {
    /// Where; `nil`: Amazon's for its storages, and the storage's own address for others.
    public var endpoint: String?
    /// One for all tenants, which must reach no more than the bucket: each session is narrowed to a tenant's folder.
    public var roleARN: String?
    /// The user whom the storage's key belongs to. Where it is given, the server makes roles of its own for each tenant's
    /// folder, which trust this user: their policies hold also where a storage does not keep sessions narrow.
    public var principal: String?
    public var externalID: String?
    /// Seconds asked for. A storage that grants less is asked for less.
    public var lifetime: Int

    public init(
        endpoint: String? = nil,
        roleARN: String? = nil,
        principal: String? = nil,
        externalID: String? = nil,
        lifetime: Int = 14 * 86_400
    ) {
        self.endpoint = endpoint
        self.roleARN = roleARN
        self.principal = principal
        self.externalID = externalID
        self.lifetime = lifetime
    }
}

/// A cloud repository: the part of a storage below `<prefix>/<repository id>/`.
public struct RepositoryRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    public var name: String
    public var storage: ControlID
    public var settings: RepositorySettings
    public var created: Moment
}

public struct RepositorySettings: Codable, Sendable, Hashable {
    public var mode: ConnectionMode
    /// Counts for a storage of kind `compatible` only.
    public var access: AccessPermissions
    /// Names; none: what needs a gateway server can't be used.
    public var gatewayServers: [String]
    public var fallback: Grant.Fallback
    /// The provider accepts that several tenants share the storage's own key.
    public var acceptsSharedBucket: Bool
    /// Deleted objects are kept so long; 0: not at all.
    public var insiderProtectionDays: Int
    /// What tenants may hand to other programs; `nil`: nothing.
    public var credentialExport: CredentialExport?

    public init(
        mode: ConnectionMode = .direct,
        access: AccessPermissions = .provider,
        gatewayServers: [String] = [],
        fallback: Grant.Fallback = .gateway,
        acceptsSharedBucket: Bool = false,
        insiderProtectionDays: Int = 0,
        credentialExport: CredentialExport? = nil
    ) {
        self.mode = mode
        self.access = access
        self.gatewayServers = gatewayServers
        self.fallback = fallback
        self.acceptsSharedBucket = acceptsSharedBucket
        self.insiderProtectionDays = insiderProtectionDays
        self.credentialExport = credentialExport
    }
}

/// Temporary credentials that may leave a tenant's vault for other programs.
public enum CredentialExport: String, Codable, Sendable {
    /// Those that only read.
    case read
    /// Those of every purpose.
    case all
}

/// What one tenant or subtenant has in one repository: a folder of the storage, a quota, and the ledger's sums.
public struct FolderRecord: Codable, Sendable, Hashable {
    /// The folder's name in the storage. Random, and never used again.
    public var id: ControlID
    public var repository: ControlID
    public var tenant: ControlID
    public var subtenant: ControlID?
    /// Bytes; `nil` without a limit of its own.
    public var limit: Int?
    /// Bytes in this folder, as far as the ledger knows; never less than the storage holds.
    public var committed: Int
    /// Bytes set aside for running sessions.
    public var reserved: Int
    /// Of a tenant's own folder: the sums of its subtenants' folders.
    public var belowCommitted: Int
    public var belowReserved: Int
    /// Of `committed`: deleted, and kept by insider protection for now.
    public var pending: Int
    /// Of `committed`: leases whose end nobody could see; the next listing tells.
    public var unproven: Int
    /// Written by prunes beyond the limit, and not freed again yet.
    public var outside: Int
    /// When the storage was last listed as a whole.
    public var reconciled: Moment?
    /// A listing found more than the limit allows: read only until there is room.
    public var isOver: Bool
    /// Bytes that were asked for last and did not fit.
    public var refused: Int?

    /// Subtenants included.
    public var used: Int { committed + belowCommitted }
    public var allReserved: Int { reserved + belowReserved }
    /// `nil` without a limit; never negative.
    public var free: Int? { limit.map { max(0, $0 - used - allReserved) } }
    /// Whether backups find no room, though some bytes may be free: they ask for a pack and what they keep back for their
    /// metadata, 32 MiB or 2 % of what they have stored. Leases ahead of need are larger.
    var isFull: Bool {
        guard let free, let refused else { return false }
        return free < refused && refused <= (64 << 20) + used / 50
    }
    public var quota: QuotaState { QuotaState(limit: limit, used: used, reserved: allReserved, pending: pending) }

    /// Where the folder lies in the bucket: `<prefix>/<repository id>/<id>/`.
    public func path(in storage: StorageSettings) -> String {
        let below = "\(repository)/\(id)/"
        return storage.prefix.isEmpty ? below : "\(storage.prefix)/\(below)"
    }
}
